"""TOML."""

from stages.parse.grammar import Grammar

TOML = Grammar(
    name="toml",
    languages=("TOML",),
    distribution="tree-sitter-toml",
    module="tree_sitter_toml",
    concepts={
        "source": "document",
        "comment": "comment",
        "expression.literal": "string integer float boolean local_date local_time local_date_time offset_date_time "
        "quoted_key",
        "expression.collection": "array inline_table table table_array_element",
        "expression.identifier": "bare_key",
        "expression.member": "dotted_key",
        "data.pair": "pair",
        "none": "escape_sequence",
    },
)

GRAMMARS = (TOML,)
