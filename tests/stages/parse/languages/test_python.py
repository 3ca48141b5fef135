"""Python's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, units

GRAMMAR = "python"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_methods_and_classes_are_units_with_their_parts() -> None:
    source = 'class A(B):\n    """Doc."""\n    def __init__(self, x: int) -> None: ...\n    async def run(self): ...\n'
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A", doc='"""Doc."""'),
        SeenUnit("constructor", "A.__init__", "(self, x: int)", "None"),
        SeenUnit("method", "A.run", "(self)"),
    ]


def test_nested_functions_and_lambdas_are_qualified_by_what_encloses_them() -> None:
    source = "def f():\n    def g(): return lambda x: x\n    h = lambda: 1\n"
    assert names(source, GRAMMAR) == [("function", "f"), ("function", "f.g"), ("lambda", None), ("lambda", "f.h")]


def test_a_comment_before_the_decorators_documents_a_function() -> None:
    source = "x = 1  # not this\n# Why.\n# How.\n@cache\ndef f(): ...\n\n# far away\n\ndef g(): ...\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "f", "()", doc="# Why.\n# How."),
        SeenUnit("function", "g", "()"),
    ]


def test_imports_name_module_and_names() -> None:
    source = "import a.b as c, d\nfrom ..x import (y as z, w)\nfrom m import *\nfrom __future__ import annotations\n"
    assert imports(source, GRAMMAR) == [
        ("a.b", []),
        ("d", []),
        ("..x", ["y", "w"]),
        ("m", ["*"]),
        ("__future__", ["annotations"]),
    ]


def test_concepts_depend_on_where_a_name_stands() -> None:
    source = "def f(a, *b, c=1, **d):\n    x = a.b[0] if not a else -1\n    return x\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.parameter": ["a", "*b", "c=1", "**d"],
            "expression.member": ["a.b"],
            "expression.index": ["a.b[0]"],
            "expression.unary": ["not a", "-1"],
            "expression.conditional": ["a.b[0] if not a else -1"],
            "statement.return": ["return x"],
        },
    )
