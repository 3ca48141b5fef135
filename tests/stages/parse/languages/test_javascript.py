"""JavaScript's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "javascript"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_methods_and_classes_are_units_with_their_parts() -> None:
    source = """/** Doc. */
export class A extends B {
  constructor(x) { super(x) }
  static async run(...xs) {}
  get 'key'() {}
  #own() {}
}
function* each(a, b = 1) {}
export default function go() {}
"""
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A", doc="/** Doc. */"),
        SeenUnit("constructor", "A.constructor", "(x)"),
        SeenUnit("method", "A.run", "(...xs)"),
        SeenUnit("method", "A.key", "()"),
        SeenUnit("method", "A.#own", "()"),
        SeenUnit("function", "each", "(a, b = 1)"),
        SeenUnit("function", "go", "()"),
    ]


def test_a_lambda_is_named_after_what_it_is_the_value_of() -> None:
    source = """const f = x => x, g = function own() {};
a.b = a.c = () => 1;
a['d'] ||= () => 1;
a[i] = () => 1;
module.exports = { e: () => 1, 'h': function () {}, m() {} };
class K { p = () => this.q(() => 2) }
"""
    assert names(source, GRAMMAR) == [
        ("lambda", "f"),
        ("lambda", "own"),
        ("lambda", "c"),
        ("lambda", "d"),
        ("lambda", None),
        ("lambda", "e"),
        ("lambda", "h"),
        ("method", "m"),
        ("class", "K"),
        ("lambda", "K.p"),
        ("lambda", None),
    ]


def test_a_named_lambda_may_be_asynchronous() -> None:
    source = "const f = async () => 1; g = { h: async function () {}, i: () => 2 }"
    assert [(unit.name, unit.is_async) for unit in parsed(source, GRAMMAR).units] == [
        ("f", True),
        ("h", True),
        ("i", False),
    ]


def test_the_parameters_of_a_lambda_may_be_one_name_without_parentheses() -> None:
    assert units("f(x => 1); g((x, y) => 2)", GRAMMAR) == [
        SeenUnit("lambda", None, "x"),
        SeenUnit("lambda", None, "(x, y)"),
    ]


def test_a_class_that_is_a_value_takes_its_name_from_there() -> None:
    source = "const A = class { m() {} }; exports.B = class {}; f(class C {})"
    assert names(source, GRAMMAR) == [("class", "A"), ("method", "A.m"), ("class", "B"), ("class", "C")]


def test_imports_are_statements_reexports_and_calls_with_a_literal() -> None:
    source = """import d, {a as b, default as c} from 'm'
import * as ns from "n"
import 'side'
export {x as y} from 'e'
export * from 'all'
export {z}
const {p, q: r, s = 1} = require('u')
const t = require(`v`).w
import('later').then(f)
require(name), obj.require('no')
"""
    assert imports(source, GRAMMAR) == [
        ("m", ["default", "a", "default"]),
        ("n", ["*"]),
        ("side", []),
        ("e", ["x"]),
        ("all", ["*"]),
        ("u", ["p", "q", "s"]),
        ("v", []),
        ("later", []),
    ]


def test_functions_given_to_the_words_of_test_frameworks_are_tests() -> None:
    source = """describe('a', () => { it.each([1])('b', async function (x) {}) })
test.only('c', t => 1)
suite.run('d', () => 1)
items.test(() => 1)
"""
    assert [(unit.is_test, unit.is_async) for unit in parsed(source, GRAMMAR).units] == [
        (True, False),
        (True, True),
        (True, False),
        (False, False),
        (False, False),
    ]


def test_concepts_depend_on_where_a_name_stands() -> None:
    source = "#!/bin/node\nfunction f(a, {b}, c = 1, ...d) { let [e] = a?.b[0]; for (let i = 0; i < 1; i++) g(...d) }\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "comment": ["#!/bin/node"],
            "declaration.parameter": ["a", "{b}", "c = 1", "...d"],
            "declaration.variable": ["let [e] = a?.b[0];", "let i = 0;"],
            "expression.member": ["a?.b"],
            "expression.index": ["a?.b[0]"],
            "expression.unary": ["i++"],
            "expression.binary": ["i < 1"],
            "pattern": ["[e]"],
        },
    )


def test_elements_of_jsx_are_markup() -> None:
    source = "x = <A.B c='d' {...e}>text {f.g()}<h.i /></A.B>"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "markup.element": ["<A.B c='d' {...e}>text {f.g()}<h.i /></A.B>", "<h.i />"],
            "markup.attribute": ["c='d'", "{...e}"],
            "markup.text": ["text "],
            "expression.call": ["f.g()"],
            "expression.member": ["f.g"],
        },
    )
