"""The shells' table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "bash"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_of_both_styles_are_units() -> None:
    source = "#!/bin/sh\n\n# Doc.\nfunction deploy-all() { :; }\nclean () (\n  rm x\n)\n"
    assert units(source, GRAMMAR) == [SeenUnit("function", "deploy-all", doc="# Doc."), SeenUnit("function", "clean")]


def test_functions_enclose_functions() -> None:
    assert names("f() { g() { :; }; }\n", GRAMMAR) == [("function", "f"), ("function", "f.g")]


def test_sourced_files_are_imports_where_they_are_written_out() -> None:
    source = 'source ./a.sh\n. /etc/b\n. \'c.sh\' arg\nsource "d.sh"; . "$DIR/e.sh"\n. /lib/`arch`/f.sh\nsource\n'
    assert imports(source, GRAMMAR) == [("./a.sh", []), ("/etc/b", []), ("c.sh", []), ("d.sh", [])]


def test_commands_that_steer_are_no_calls() -> None:
    source = "f() { . a; ls -l; return 1; }\nfor i in a; do continue; done\nwhile read x; do break; done\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.import": [". a"],
            "expression.call": ["ls -l", "read x"],
            "statement.return": ["return 1"],
            "statement.jump": ["continue", "break"],
            "statement.loop": ["for i in a; do continue; done", "while read x; do break; done"],
        },
    )


def test_assignments_and_declarations() -> None:
    source = "a=1\nlocal b=2 c\nexport D=3\ne=(4 x)\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "statement.assignment": ["a=1", "e=(4 x)"],
            "declaration.variable": ["local b=2 c", "export D=3"],
            "declaration.declarator": ["b=2", "c", "D=3"],
            "expression.collection": ["(4 x)"],
        },
    )


def test_words_are_strings_and_variables_are_names() -> None:
    source = 'echo hello "a $x" $y ${z}\n((i++))\n'
    assert_concepts(
        source,
        GRAMMAR,
        {
            "expression.literal": ["hello", '"a $x"'],
            "expression.interpolation": ["$x"],
            "expression.identifier": ["echo", "$y", "z", "i"],
            "expression.unary": ["i++"],
        },
    )


def test_functions_named_like_tests_are_tests() -> None:
    found = parsed("test_add() { :; }\ntestAdd() { :; }\ntesting() { :; }\n", GRAMMAR).units
    assert [unit.is_test for unit in found] == [True, True, False]
