"""YAML's table."""

from tests.stages.parse.reading import assert_complete, assert_concepts, units

GRAMMAR = "yaml"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_mappings_and_sequences_of_both_styles_are_collections() -> None:
    assert_concepts(
        "a:\n  - 1\n  - [x, y]\nb: {c: d}\n",
        GRAMMAR,
        {
            "expression.collection": [
                "a:\n  - 1\n  - [x, y]\nb: {c: d}\n",
                "- 1\n  - [x, y]",
                "[x, y]",
                "{c: d}",
            ],
            "data.pair": ["a:\n  - 1\n  - [x, y]", "b: {c: d}", "c: d"],
        },
    )


def test_each_scalar_is_one_literal() -> None:
    source = "- a b\n- 1\n- 1.5\n- true\n- null\n- 'x'\n- \"y\\n\"\n"
    assert_concepts(source, GRAMMAR, {"expression.literal": ["a b", "1", "1.5", "true", "null", "'x'", '"y\\n"']})


def test_block_scalars_are_literals_with_their_marker() -> None:
    assert_concepts("a: |\n  x\n  y\n", GRAMMAR, {"expression.literal": ["a", "|\n  x\n  y\n"]})


def test_anchors_declare_what_aliases_name() -> None:
    assert_concepts(
        "a: &base {x: 1}\nb: *base\n",
        GRAMMAR,
        {"declaration.other": ["&base"], "expression.other": ["*base"], "expression.identifier": ["base", "base"]},
    )


def test_tags_are_types_and_directives_are_directives() -> None:
    assert_concepts(
        "%YAML 1.2\n---\na: !!str 1\n",
        GRAMMAR,
        {"macro.directive": ["%YAML 1.2"], "type.reference": ["!!str"]},
    )


def test_a_file_may_hold_several_documents() -> None:
    assert_concepts(
        "# c\na: 1\n---\nb: 2\n",
        GRAMMAR,
        {"source": ["# c\na: 1\n---\nb: 2\n"], "data.pair": ["a: 1", "b: 2"], "comment": ["# c"]},
    )


def test_data_has_no_units() -> None:
    assert units("function:\n  name: f\n", GRAMMAR) == []
