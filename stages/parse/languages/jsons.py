"""JSON, with comments too."""

from stages.parse.grammar import Grammar

JSON = Grammar(
    name="json",
    languages=("JSON", "JSON with Comments"),
    distribution="tree-sitter-json",
    module="tree_sitter_json",
    concepts={
        "source": "document",
        "comment": "comment",
        "expression.literal": "string number true false null",
        "expression.collection": "object array",
        "data.pair": "pair",
        "none": "string_content escape_sequence",
    },
)

GRAMMARS = (JSON,)
