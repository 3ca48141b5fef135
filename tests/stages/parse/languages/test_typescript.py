"""The tables of TypeScript and TSX."""

import pytest

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, units

GRAMMAR = "typescript"


@pytest.mark.parametrize("grammar", ["typescript", "tsx"])
def test_every_kind_of_the_grammar_has_a_concept(grammar: str) -> None:
    assert_complete(grammar)


@pytest.mark.parametrize("grammar", ["typescript", "tsx"])
def test_functions_methods_and_types_are_units_with_their_parts(grammar: str) -> None:
    source = """// Why.
@Dec({a: 1})
export abstract class A<T> extends B<T> implements C {
  constructor(private x: T) { super() }
  /** Doc. */
  @Dec()
  async run(...xs: T[]): Promise<void> {}
  abstract stop(): asserts this is T
}
export interface I { (n: number): string; m(a?: string): a is T; f: (a: string) => void }
declare function over(a: string): void
enum E { X = 1, Y }
"""
    assert units(source, grammar) == [
        SeenUnit("class", "A", doc="// Why."),
        SeenUnit("constructor", "A.constructor", "(private x: T)"),
        SeenUnit("method", "A.run", "(...xs: T[])", "Promise<void>", "/** Doc. */"),
        SeenUnit("method", "A.stop", "()", "asserts this is T"),
        SeenUnit("interface", "I"),
        SeenUnit("method", "I.m", "(a?: string)", "a is T"),
        SeenUnit("function", "over", "(a: string)", "void"),
        SeenUnit("enum", "E"),
    ]


def test_namespaces_and_declared_modules_qualify_what_they_hold() -> None:
    source = "// Why.\nnamespace a.b { export class C {} }\ndeclare module 'm' { function f(): void }\n"
    assert names(source, GRAMMAR) == [
        ("module", "a.b"),
        ("class", "a.b.C"),
        ("module", "m"),
        ("function", "m.f"),
    ]
    assert units(source, GRAMMAR)[0].doc == "// Why."


def test_a_lambda_is_named_after_what_it_is_the_value_of() -> None:
    source = (
        "const f = <T,>(x: T): T => x\nclass K { private p?: F = y => y }\nconst o: O = { q: () => 1, r(): void {} }\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("lambda", "f", "(x: T)", "T"),
        SeenUnit("class", "K"),
        SeenUnit("lambda", "K.p", "y"),
        SeenUnit("lambda", "q", "()"),
        SeenUnit("method", "r", "()", "void"),
    ]


def test_imports_may_be_of_types_requires_and_aliases() -> None:
    source = "import type { X as Y } from 'm'\nimport {type Z} from 'n'\nimport r = require('r')\nimport q = a.b.c\n"
    assert imports(source, GRAMMAR) == [("m", ["X"]), ("n", ["Z"]), ("r", []), ("a.b.c", [])]


def test_concepts_tell_types_from_values() -> None:
    source = """type A<K> = { [k in keyof K]: 'x' } | typeof m.n.o | [p: string] | ((a: B, b?: C) => void)
class D extends E.F { @G() h = <I>j as K; [l: string]: any }
let m = n! as q.R.S, t = u satisfies v.W
"""
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.parameter": ["a: B", "b?: C"],
            "declaration.type_parameter": ["K"],
            "declaration.variable": ["@G() h = <I>j as K", "let m = n! as q.R.S, t = u satisfies v.W"],
            "declaration.decorator": ["@G()"],
            "expression.literal": ["'x'"],
            "expression.member": ["E.F"],
            "expression.unary": ["n!"],
            "expression.cast": ["<I>j as K", "<I>j", "n! as q.R", "u satisfies v.W"],
        },
    )


def test_members_of_an_enumeration_may_have_a_value_or_not() -> None:
    assert_concepts(
        "const enum E { A = 1 << 0, 'b', C }",
        GRAMMAR,
        {
            "declaration.enum": ["const enum E { A = 1 << 0, 'b', C }"],
            "declaration.enum_member": ["A = 1 << 0", "'b'", "C"],
        },
    )


def test_tsx_has_elements_and_types() -> None:
    source = "const f = (p: P): R => <A.B c={p as Q}>text{s.t}</A.B>"
    assert_concepts(
        source,
        "tsx",
        {
            "markup.element": ["<A.B c={p as Q}>text{s.t}</A.B>"],
            "markup.text": ["text"],
            "expression.cast": ["p as Q"],
            "expression.member": ["s.t"],
        },
    )
    assert units(source, "tsx") == [SeenUnit("lambda", "f", "(p: P)", "R")]
