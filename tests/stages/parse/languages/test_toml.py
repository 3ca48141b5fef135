"""TOML's table."""

from tests.stages.parse.reading import assert_complete, assert_concepts, units

GRAMMAR = "toml"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_keys_are_names_and_values_are_literals() -> None:
    assert_concepts(
        "a = 1\n\"b c\" = 'x'\n",
        GRAMMAR,
        {
            "data.pair": ["a = 1", "\"b c\" = 'x'"],
            "expression.identifier": ["a"],
            "expression.literal": ["1", '"b c"', "'x'"],
        },
    )


def test_dotted_keys_are_members() -> None:
    assert_concepts(
        "[tool.ruff]\nlint.select = []\n",
        GRAMMAR,
        {
            "expression.member": ["tool.ruff", "lint.select"],
            "expression.identifier": ["tool", "ruff", "lint", "select"],
        },
    )


def test_tables_arrays_and_inline_tables_are_collections() -> None:
    assert_concepts(
        "[t]\nx = [1, {y = 2}]\n[[u]]\n",
        GRAMMAR,
        {"expression.collection": ["[t]\nx = [1, {y = 2}]\n", "[1, {y = 2}]", "{y = 2}", "[[u]]\n"]},
    )


def test_dates_and_times_are_literals() -> None:
    source = "a = 1979-05-27T07:32:00Z\nb = 1979-05-27T07:32:00\nc = 1979-05-27\nd = 07:32:00\ne = inf\nf = true\n"
    expected = ["1979-05-27T07:32:00Z", "1979-05-27T07:32:00", "1979-05-27", "07:32:00", "inf", "true"]
    assert_concepts(source, GRAMMAR, {"expression.literal": expected})


def test_comments_are_read_where_they_stand() -> None:
    assert_concepts("# one\na = 1 # two\n", GRAMMAR, {"comment": ["# one", "# two"]})


def test_data_has_no_units() -> None:
    assert units("[function]\nname = 'f'\n", GRAMMAR) == []
