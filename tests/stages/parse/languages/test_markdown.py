"""Markdown's tables."""

import pytest

from stages.parse.loaded import grammar_of
from tests.stages.parse.reading import assert_complete, assert_concepts, concepts, units

GRAMMAR, INLINE = "markdown", "markdown_inline"


@pytest.mark.parametrize("grammar", [GRAMMAR, INLINE])
def test_every_kind_of_the_grammars_has_a_concept(grammar: str) -> None:
    assert_complete(grammar)


def test_documents_are_parsed_by_the_grammar_of_blocks() -> None:
    assert grammar_of()["Markdown"] == GRAMMAR
    assert INLINE not in grammar_of().values()


def test_headings_and_paragraphs_are_elements_around_their_text() -> None:
    assert_concepts(
        "# A *b*\n\nc\nd\n",
        GRAMMAR,
        {"markup.element": ["# A *b*\n\nc\nd\n", "# A *b*\n", "c\nd\n"], "markup.text": ["A *b*", "c\nd"]},
    )


def test_the_paragraph_of_an_underlined_heading_is_no_element_of_its_own() -> None:
    assert_concepts("A\n===\n", GRAMMAR, {"markup.element": ["A\n===\n", "A\n===\n"], "markup.text": ["A"]})


def test_lists_items_and_tasks_are_told_apart() -> None:
    assert_concepts(
        "- a\n- [x] b\n",
        GRAMMAR,
        {
            "markup.element": ["- a\n- [x] b\n", "- a\n- [x] b\n", "- a\n", "a\n", "- [x] b\n", "b\n"],
            "markup.attribute": ["[x]"],
            "markup.text": ["a", "b"],
        },
    )


def test_code_in_a_fence_is_no_running_text() -> None:
    source = "```python\nx = 1\n```\n"
    assert concepts(source, GRAMMAR, "markup.element", "markup.attribute", "markup.text") == {
        "markup.element": [source, source],
        "markup.attribute": ["python"],
    }


def test_cells_of_a_table_are_text_of_its_rows() -> None:
    source = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "markup.element": [source, source, "| a | b |", "| 1 | 2 |"],
            "markup.text": ["a ", "b ", "1 ", "2 "],
        },
    )


def test_definitions_of_links_have_attributes() -> None:
    assert_concepts(
        '[a]: http://x "t"\n',
        GRAMMAR,
        {"expression.identifier": ["[a]"], "markup.attribute": ["http://x", '"t"']},
    )


def test_what_stands_in_a_line_is_elements_with_text() -> None:
    assert_concepts(
        'a *b* `c` [d](u "t") ![e](v) <b>f</b> &amp;',
        INLINE,
        {
            "markup.element": ["*b*", "`c`", '[d](u "t")', "![e](v)", "<b>", "</b>"],
            "markup.attribute": ["u", '"t"', "v"],
            "markup.text": ["d", "e", "&amp;"],
        },
    )


def test_prose_has_no_units() -> None:
    assert units("# f\n\n```python\ndef f(): ...\n```\n", GRAMMAR) == []
