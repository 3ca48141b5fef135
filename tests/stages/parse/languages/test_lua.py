"""Lua's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "lua"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_are_units_with_their_parts() -> None:
    source = "--- Doc.\n-- More.\nlocal function f(a, ...) return a end\nfunction g() end\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "f", "(a, ...)", doc="--- Doc.\n-- More."),
        SeenUnit("function", "g", "()"),
    ]


def test_functions_of_a_table_are_methods_qualified_by_it() -> None:
    source = "function M.new(x) local function inner() end end\nfunction M.sub:run() end\n"
    assert names(source, GRAMMAR) == [
        ("method", "M.new"),
        ("function", "M.new.inner"),
        ("method", "M.sub.run"),
    ]


def test_functions_without_name_are_named_by_what_they_are_directly_the_value_of() -> None:
    source = (
        "local a, b = 1, function(x) end\nM.c = function() end\nM['d'] = function() end\nM[e] = function() end\n"
        "local t = { f = function() end, ['g'] = function() end, function() end }\nmap(function() end)\n"
        "return function() end\n"
    )
    assert units(source, GRAMMAR)[0] == SeenUnit("lambda", "b", "(x)")
    assert [name for _, name in names(source, GRAMMAR)] == ["b", "c", "d", None, "f", "g", None, None, None]


def test_required_modules_are_imports() -> None:
    source = "local a = require('a.b')\nlocal c = require \"c\".d\nrequire [[e]]\nrequire(f)\npcall(require, 'g')\n"
    assert imports(source, GRAMMAR) == [("a.b", []), ("c", []), ("e", [])]


def test_tests_are_known_by_name_or_by_what_they_are_given_to() -> None:
    source = "function test_add() end\nit('adds', function() end)\nmap(function() end)\n"
    assert [unit.is_test for unit in parsed(source, GRAMMAR).units] == [True, True, False]


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = "local a, b = 1, {2, k = nil}\nx = a.b[c] .. #d\nfunction M.f(p, ...) return M.g:h(-1, ...) end\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.variable": ["local a, b = 1, {2, k = nil}"],
            "statement.assignment": ["x = a.b[c] .. #d"],
            "declaration.parameter": ["p", "..."],
            "data.pair": ["k = nil"],
            "expression.member": ["a.b", "M.g:h", "M.g"],
            "expression.index": ["a.b[c]"],
            "expression.unary": ["#d", "-1"],
            "expression.call": ["M.g:h(-1, ...)"],
        },
    )


def test_statements_have_their_concepts() -> None:
    source = "if a then elseif b then else end\nfor i = 1, 2 do break end\nrepeat until c\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "statement.conditional": ["if a then elseif b then else end", "elseif b then"],
            "statement.branch": ["else"],
            "statement.loop": ["for i = 1, 2 do break end", "repeat until c"],
            "statement.jump": ["break"],
        },
    )
