"""Scala's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "scala"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_and_types_are_units_with_their_parts() -> None:
    source = """package a.b

/** Doc. */
@ann final case class K[+T](x: Int) extends B {
  def this() = this(1)
  private def m[A](a: A, b: Int*)(implicit c: C): Unit = {}
  def +(o: K): K
  def plain = 1
}
case object O
trait T { def f(x: Int): Int = { def g() = 1; g() } }
enum E { case X, Y }
def top(): Int = 1
"""
    assert units(source, GRAMMAR) == [
        SeenUnit("module", "a.b"),
        SeenUnit("class", "K", doc="/** Doc. */"),
        SeenUnit("constructor", "K.this", "()"),
        SeenUnit("method", "K.m", "(a: A, b: Int*)", "Unit"),
        SeenUnit("method", "K.+", "(o: K)", "K"),
        SeenUnit("method", "K.plain"),
        SeenUnit("class", "O"),
        SeenUnit("trait", "T"),
        SeenUnit("method", "T.f", "(x: Int)", "Int"),
        SeenUnit("function", "T.f.g", "()"),
        SeenUnit("enum", "E"),
        SeenUnit("function", "top", "()", "Int"),
    ]


def test_a_body_without_braces_ends_with_its_code() -> None:
    source = "object A {\n  def b: Int =\n    1\n\n  /** Doc. */\n  def c = 2\n}\n"
    result = parsed(source, GRAMMAR)
    assert [result.source[unit.start : unit.end] for unit in result.units][1:] == [b"def b: Int =\n    1", b"def c = 2"]
    assert units(source, GRAMMAR)[2] == SeenUnit("method", "A.c", doc="/** Doc. */")


def test_packages_with_braces_qualify_what_they_hold() -> None:
    source = "package a.b { class C }\npackage object d { def e = 1 }\n"
    assert names(source, GRAMMAR) == [("module", "a.b"), ("class", "a.b.C"), ("class", "d"), ("method", "d.e")]


def test_what_has_members_but_no_name_makes_methods() -> None:
    source = """object A { val b = new B(1) { def c = 2 } }
extension (x: Int) def d: Int = x
given e: F[Int] with { def g = 1 }
"""
    assert names(source, GRAMMAR) == [
        ("class", "A"),
        ("method", "A.c"),
        ("method", "d"),
        ("class", "e"),
        ("method", "e.g"),
    ]


def test_a_lambda_is_named_after_what_it_is_the_value_of() -> None:
    source = """object A {
  val f = (a: Int, b: Int) => a + b
  var g: Int => Int = { x => x }
  this.h = _ => 1
  xs.map(y => y).map(_ + 1).map { case z => z }
  k(l = implicit m => m)
}
"""
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A"),
        SeenUnit("lambda", "A.f", "(a: Int, b: Int)"),
        SeenUnit("lambda", "A.g", "x"),
        SeenUnit("lambda", "A.h", "_"),
        SeenUnit("lambda", None, "y"),
        SeenUnit("lambda", None, "m"),
    ]


def test_imports_name_module_and_names() -> None:
    source = """import a.b.C
import a.b._
import a.b.{C, D => E, F => _, _}
import a.b, c.d.{X}
import e.{given, *}
import f.g as h
"""
    assert imports(source, GRAMMAR) == [
        ("a.b", ["C"]),
        ("a.b", ["*"]),
        ("a.b", ["C", "D", "*"]),
        ("a", ["b"]),
        ("c.d", ["X"]),
        ("e", ["given", "*"]),
        ("f", ["g"]),
    ]


def test_concepts_depend_on_where_a_name_stands() -> None:
    source = """class A[T, -U](val x: Int) {
  def f[V](y: b.c.D): Unit = { z += 1; z = 2; g(h = 3) }
  val k = x match { case l.m.N => new O(1); case P.Q(r) => s -> t }
  lazy val u = (v, w) => -v
}
"""
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.type_parameter": ["T", "-U", "V"],
            "declaration.parameter": ["val x: Int", "y: b.c.D", "v", "w"],
            "statement.assignment": ["z += 1", "z = 2"],
            "expression.argument": ["h = 3"],
            "expression.member": ["l.m.N", "l.m"],
            "expression.call": ["g(h = 3)", "new O(1)"],
            "expression.binary": ["s -> t"],
            "expression.unary": ["-v"],
        },
    )


def test_classes_named_by_convention_and_annotated_methods_are_tests() -> None:
    source = "class ASpec extends B {\n  @Test def c() = 1\n  def d() = 1\n}\n"
    assert [(unit.name, unit.is_test) for unit in parsed(source, GRAMMAR).units] == [
        ("ASpec", True),
        ("c", True),
        ("d", False),
    ]
