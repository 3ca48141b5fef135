"""Markdown: the grammar of blocks, and that of what stands in a line of text."""

from stages.parse.grammar import Case, Grammar

_REFERENCES = "backslash_escape entity_reference numeric_character_reference"

MARKDOWN = Grammar(
    name="markdown",
    languages=("Markdown",),
    distribution="tree-sitter-markdown",
    module="tree_sitter_markdown",
    concepts={
        "source": "document",
        "expression.identifier": "link_label",
        "markup.element": "section atx_heading setext_heading paragraph list list_item block_quote fenced_code_block "
        "indented_code_block html_block pipe_table pipe_table_header pipe_table_row thematic_break "
        "link_reference_definition minus_metadata plus_metadata",
        "markup.attribute": "info_string link_destination link_title task_list_marker_checked "
        "task_list_marker_unchecked",
        "markup.text": f"inline pipe_table_cell {_REFERENCES}",
        # code_fence_content is code of another language, no running text
        "none": "atx_h1_marker atx_h2_marker atx_h3_marker atx_h4_marker atx_h5_marker atx_h6_marker "
        "setext_h1_underline setext_h2_underline block_continuation block_quote_marker fenced_code_block_delimiter "
        "code_fence_content language list_marker_dot list_marker_minus list_marker_parenthesis list_marker_plus "
        "list_marker_star pipe_table_delimiter_row pipe_table_delimiter_cell pipe_table_align_left "
        "pipe_table_align_right",
    },
    cases=(Case(kinds="paragraph", parent="setext_heading", concept="none"),),
)

MARKDOWN_INLINE = Grammar(
    name="markdown_inline",
    languages=(),
    distribution="tree-sitter-markdown",
    module="tree_sitter_markdown",
    entry="inline_language",
    concepts={
        "source": "inline",
        "expression.identifier": "link_label",
        "markup.element": "emphasis strong_emphasis strikethrough code_span inline_link full_reference_link "
        "collapsed_reference_link shortcut_link image uri_autolink email_autolink html_tag latex_block hard_line_break",
        "markup.attribute": "link_destination link_title",
        "markup.text": f"link_text image_description {_REFERENCES}",
        "none": "emphasis_delimiter code_span_delimiter latex_span_delimiter",
    },
)

GRAMMARS = (MARKDOWN, MARKDOWN_INLINE)
