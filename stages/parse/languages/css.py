"""CSS."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported
from stages.parse.tree import Tree


def _import(tree: Tree, node: int) -> Iterator[Imported]:
    """`@import "a.css"`, `@import url("a.css") screen`, `@import url(a.css)`."""
    path = tree.first(node, "string_value")
    call = tree.first(node, "call_expression")
    if path is None and call is not None and (arguments := tree.first(call, "arguments")) is not None:
        path = next(tree.named(arguments), None)
    if path is not None:
        yield node, tree.text(path).strip("\"'"), []


CSS = Grammar(
    name="css",
    languages=("CSS",),
    distribution="tree-sitter-css",
    module="tree_sitter_css",
    concepts={
        "source": "stylesheet",
        "comment": "comment js_comment",
        "declaration.import": "import_statement",
        "declaration.modifier": "important",
        "declaration.other": "charset_statement namespace_statement",
        "statement.block": "block keyframe_block_list",
        "expression.call": "call_expression",
        "expression.arguments": "arguments",
        "expression.literal": "color_value integer_value float_value string_value plain_value important_value",
        "expression.collection": "grid_value",
        "expression.identifier": "identifier attribute_name feature_name function_name id_name keyframes_name "
        "namespace_name property_name keyword_query",
        "expression.binary": "binary_expression binary_query",
        "expression.unary": "unary_query",
        "expression.other": "parenthesized_value parenthesized_query feature_query selector_query",
        "data.pair": "declaration",
        "style.rule": "rule_set at_rule media_statement supports_statement scope_statement keyframes_statement "
        "keyframe_block postcss_statement",
        "style.selector": "adjacent_sibling_selector attribute_selector child_selector class_selector "
        "descendant_selector id_selector namespace_selector nesting_selector pseudo_class_selector "
        "pseudo_element_selector sibling_selector universal_selector tag_name",
        "token.keyword": "at_keyword from to",
        "none": "selectors class_name escape_sequence string_content unit",
    },
    cases=(Case(kinds="arguments", parent="pseudo_class_selector pseudo_element_selector", concept="none"),),
    imports=(Import(kinds="import_statement", read=_import),),
)

GRAMMARS = (CSS,)
