"""CSS's table."""

from tests.stages.parse.reading import assert_complete, assert_concepts, imports, units

GRAMMAR = "css"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_imports_name_the_path_in_each_way_of_writing_it() -> None:
    source = "@import 'a.css';\n@import url(\"b.css\") screen;\n@import url(c.css);\n@import url();\n"
    assert imports(source, GRAMMAR) == [("a.css", []), ("b.css", []), ("c.css", [])]


def test_rules_hold_selectors_and_pairs() -> None:
    assert_concepts(
        "a.b > #c, * { color: red; margin: 0 1px }",
        GRAMMAR,
        {
            "style.rule": ["a.b > #c, * { color: red; margin: 0 1px }"],
            "style.selector": ["a.b > #c", "a.b", "a", "#c", "*"],
            "statement.block": ["{ color: red; margin: 0 1px }"],
            "data.pair": ["color: red;", "margin: 0 1px"],
            "expression.literal": ["red", "0", "1px"],
        },
    )


def test_nested_rules_and_at_rules_are_rules() -> None:
    source = "@media print { a { b: c } }\n@font-face { d: e }\n@keyframes k { to { f: g } }\np { &:hover { h: i } }\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "style.rule": [
                "@media print { a { b: c } }",
                "a { b: c }",
                "@font-face { d: e }",
                "@keyframes k { to { f: g } }",
                "to { f: g }",
                "p { &:hover { h: i } }",
                "&:hover { h: i }",
            ]
        },
    )


def test_the_arguments_of_a_pseudo_class_are_no_arguments_of_a_call() -> None:
    assert_concepts(
        "a:not(.b) { width: calc(1px + 2px) }",
        GRAMMAR,
        {
            "expression.call": ["calc(1px + 2px)"],
            "expression.arguments": ["(1px + 2px)"],
            "expression.binary": ["1px + 2px"],
        },
    )


def test_queries_of_media_are_expressions() -> None:
    assert_concepts(
        "@media (min-width: 1px) and screen, not print { a { b: c } }",
        GRAMMAR,
        {
            "expression.binary": ["(min-width: 1px) and screen"],
            "expression.unary": ["not print"],
            "expression.other": ["(min-width: 1px)"],
        },
    )


def test_comments_and_modifiers_have_their_concepts() -> None:
    assert_concepts(
        "/* c */ a { b: c !important }", GRAMMAR, {"comment": ["/* c */"], "declaration.modifier": ["!important"]}
    )


def test_rules_are_no_units() -> None:
    assert units("a { b: c }", GRAMMAR) == []
