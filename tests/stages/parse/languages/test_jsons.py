"""JSON's table."""

from stages.parse.loaded import grammar_of
from tests.stages.parse.reading import assert_complete, assert_concepts, units

GRAMMAR = "json"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_json_with_comments_is_the_same_grammar() -> None:
    assert grammar_of()["JSON"] == grammar_of()["JSON with Comments"] == GRAMMAR


def test_keys_and_values_are_literals_of_pairs() -> None:
    assert_concepts(
        '{"a": 1, "b": {"c": null}}',
        GRAMMAR,
        {
            "data.pair": ['"a": 1', '"b": {"c": null}', '"c": null'],
            "expression.literal": ['"a"', "1", '"b"', '"c"', "null"],
            "expression.collection": ['{"a": 1, "b": {"c": null}}', '{"c": null}'],
        },
    )


def test_a_literal_keeps_its_sign_exponent_and_escapes() -> None:
    assert_concepts(
        '[-1.5e3, true, "x\\n\\u00e9"]', GRAMMAR, {"expression.literal": ["-1.5e3", "true", '"x\\n\\u00e9"']}
    )


def test_comments_of_both_kinds_are_read() -> None:
    source = '// first\n{"a": 1 /* second */}'
    assert_concepts(source, GRAMMAR, {"comment": ["// first", "/* second */"], "data.pair": ['"a": 1']})


def test_a_file_may_hold_one_value_a_line() -> None:
    assert_concepts('{"a": 1}\n{"a": 2}\n', GRAMMAR, {"expression.collection": ['{"a": 1}', '{"a": 2}']})


def test_data_has_no_units() -> None:
    assert units('{"function": {"name": "f"}}', GRAMMAR) == []
