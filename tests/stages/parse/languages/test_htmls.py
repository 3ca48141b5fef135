"""HTML's table."""

from tests.stages.parse.reading import assert_complete, assert_concepts, concepts, units

GRAMMAR = "html"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_elements_nest_and_hold_text() -> None:
    assert_concepts(
        "<ul><li>a<li>b &amp; c</ul>",
        GRAMMAR,
        {
            "markup.element": ["<ul><li>a<li>b &amp; c</ul>", "<li>a", "<li>b &amp; c"],
            "markup.text": ["a", "b", "&amp;", "c"],
        },
    )


def test_void_and_self_closing_elements_are_elements() -> None:
    assert_concepts("<p><br><img/></p>", GRAMMAR, {"markup.element": ["<p><br><img/></p>", "<br>", "<img/>"]})


def test_values_of_attributes_are_literals_with_or_without_quotes() -> None:
    assert_concepts(
        "<a href=\"x y\" id=z class='' hidden></a>",
        GRAMMAR,
        {
            "markup.attribute": ['href="x y"', "id=z", "class=''", "hidden"],
            "expression.literal": ['"x y"', "z", "''"],
            "expression.identifier": ["a", "href", "id", "class", "hidden", "a"],
        },
    )


def test_code_in_a_page_is_no_running_text() -> None:
    source = "<script>let a = '</b>';</script><style>p {}</style>"
    assert concepts(source, GRAMMAR, "markup.element", "markup.text") == {
        "markup.element": ["<script>let a = '</b>';</script>", "<style>p {}</style>"]
    }


def test_comments_and_the_document_type_have_their_concepts() -> None:
    assert_concepts(
        "<!DOCTYPE html>\n<!-- c -->\n<p></p>",
        GRAMMAR,
        {"declaration.other": ["<!DOCTYPE html>"], "comment": ["<!-- c -->"]},
    )


def test_an_end_tag_without_start_is_an_error_of_the_document() -> None:
    assert_concepts("<p></b></p>", GRAMMAR, {"error": ["</b>"]})


def test_markup_has_no_units() -> None:
    assert units("<script>function f() {}</script>", GRAMMAR) == []
