"""HTML."""

from stages.parse.grammar import Case, Grammar

HTML = Grammar(
    name="html",
    languages=("HTML",),
    distribution="tree-sitter-html",
    module="tree_sitter_html",
    concepts={
        "source": "document",
        "error": "erroneous_end_tag",
        "comment": "comment",
        "declaration.other": "doctype",
        "expression.identifier": "tag_name attribute_name erroneous_end_tag_name",
        "expression.literal": "quoted_attribute_value",
        "markup.element": "element script_element style_element",
        "markup.attribute": "attribute",
        "markup.text": "text entity",
        # raw_text is code of another language, no running text
        "none": "start_tag end_tag self_closing_tag attribute_value raw_text",
    },
    cases=(Case(kinds="attribute_value", parent="attribute", concept="expression.literal"),),
)

GRAMMARS = (HTML,)
