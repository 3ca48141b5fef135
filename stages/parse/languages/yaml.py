"""YAML."""

from stages.parse.grammar import Grammar

YAML = Grammar(
    name="yaml",
    languages=("YAML",),
    distribution="tree-sitter-yaml",
    module="tree_sitter_yaml",
    concepts={
        "source": "stream",
        "comment": "comment",
        "declaration.other": "anchor",
        "expression.literal": "string_scalar integer_scalar float_scalar boolean_scalar null_scalar timestamp_scalar "
        "single_quote_scalar double_quote_scalar block_scalar",
        "expression.collection": "block_mapping block_sequence flow_mapping flow_sequence",
        "expression.identifier": "anchor_name alias_name",
        "expression.other": "alias",
        "type.reference": "tag",
        "macro.directive": "yaml_directive tag_directive reserved_directive",
        "data.pair": "block_mapping_pair flow_pair",
        "none": "document block_node flow_node block_sequence_item plain_scalar escape_sequence yaml_version "
        "tag_handle tag_prefix directive_name directive_parameter",
    },
)

GRAMMARS = (YAML,)
