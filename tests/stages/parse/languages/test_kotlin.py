"""Kotlin's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "kotlin"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_are_units_with_their_parts() -> None:
    source = (
        "/** Doc. */\n@JvmStatic\nfun <T> run(a: Int = 1, vararg b: T): List<T?> where T : Any { return c }\n"
        "fun one() = 1\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "run", "(a: Int = 1, vararg b: T)", "List<T?>", "/** Doc. */"),
        SeenUnit("function", "one", "()"),
    ]


def test_the_body_is_the_block_or_the_expression() -> None:
    found = parsed("fun a() { b() }\nfun c() = d\n", GRAMMAR)
    assert [found.source[unit.body[0] : unit.body[1]] for unit in found.units] == [b"{ b() }", b"d"]


def test_classes_interfaces_enums_and_objects_hold_methods() -> None:
    source = (
        "interface I {\n  fun a()\n}\nfun interface F {\n  fun b()\n}\nenum class E {\n  X,\n  Y;\n  fun c() {}\n}\n"
        "data class D(val x: Int) : I {\n  constructor() : this(1)\n  companion object {\n    fun d() {}\n  }\n}\n"
        "object O {\n  fun e() {\n    fun f() {}\n  }\n}\nannotation class N\n"
    )
    assert names(source, GRAMMAR) == [
        ("interface", "I"),
        ("method", "I.a"),
        ("interface", "F"),
        ("method", "F.b"),
        ("enum", "E"),
        ("method", "E.c"),
        ("class", "D"),
        ("constructor", "D.constructor"),
        ("class", None),
        ("method", "D.d"),
        ("class", "O"),
        ("method", "O.e"),
        ("function", "O.e.f"),
        ("class", "N"),
    ]


def test_anonymous_objects_are_no_units_but_have_methods() -> None:
    source = "fun f() {\n  g(object : I {\n    override fun h() {}\n  })\n}\n"
    assert names(source, GRAMMAR) == [("function", "f"), ("method", "f.h")]


def test_extensions_are_methods_of_the_type_that_they_extend() -> None:
    source = "package a.b\n\nfun String?.f() = 1\nfun <T> List<T>.g(): T = h\nfun (() -> Unit).i() {}\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("module", "a.b"),
        SeenUnit("method", "String.f", "()"),
        SeenUnit("method", "List.g", "()", "T"),
        SeenUnit("function", "i", "()"),
    ]


def test_lambdas_are_named_by_what_they_are_directly_the_value_of() -> None:
    source = (
        "val f: (Int) -> Int = { x, (y, z) -> x }\nval g = fun(x: Int): Int { return x }\n"
        "class A(val h: () -> Unit = {})\n"
        "fun i() {\n  this.j = { it }\n  k(1) { x -> x }\n  val l by lazy { 1 }\n}\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("lambda", "f", "x, (y, z)"),
        SeenUnit("lambda", "g", "(x: Int)", "Int"),
        SeenUnit("class", "A"),
        SeenUnit("lambda", "A.h"),
        SeenUnit("function", "i", "()"),
        SeenUnit("lambda", "i.j"),
        SeenUnit("lambda", None, "x"),
        SeenUnit("lambda", None),
    ]


def test_imports_name_module_and_names() -> None:
    source = "import a.b.C\nimport a.b.*\nimport a.D as E\nimport f\n"
    assert imports(source, GRAMMAR) == [("a.b", ["C"]), ("a.b", ["*"]), ("a", ["D"]), ("f", [])]


def test_suspending_functions_are_asynchronous_and_annotated_ones_tests() -> None:
    source = "class A {\n  @Test\n  suspend fun a() {}\n  fun suspended() {}\n}\n"
    found = [(unit.name, unit.is_async, unit.is_test) for unit in parsed(source, GRAMMAR).units]
    assert found == [("A", False, False), ("a", True, True), ("suspended", False, False)]


def test_a_lambda_behind_the_parentheses_is_part_of_one_call() -> None:
    source = "fun f() {\n  a.b(1) { c() }\n  d { e }\n}\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "expression.call": ["a.b(1) { c() }", "c()", "d { e }"],
            "expression.arguments": ["(1)", "{ c() }", "()", "{ e }"],
            "expression.member": ["a.b"],
        },
    )


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = '@A("b")\nclass C(val d: Int) : E(1) {\n  val f by g\n  init { h }\n}\nfun j() {\n  val (k, l) = m\n}\n'
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.decorator": ['@A("b")'],
            "declaration.parameter": ["val d: Int"],
            "declaration.variable": ["val f by g", "val (k, l) = m"],
            "declaration.declarator": ["f", "k", "l"],
            "declaration.other": ["init { h }"],
            "expression.call": ["E(1)"],
            "type.clause": ["E(1)"],
            "pattern": ["(k, l)"],
        },
    )


def test_literals_and_jumps_that_look_like_names_are_told_from_names() -> None:
    source = "fun f() {\n  while (true) {\n    if (a == null) break else continue\n  }\n}\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "expression.literal": ["true", "null"],
            "statement.jump": ["break", "continue"],
            "expression.identifier": ["f", "a"],
        },
    )


def test_lambdas_given_to_a_test_function_are_tests() -> None:
    source = 'class A : B({\n  test("adds") { c() }\n  map(1) { d }\n})\n'
    assert [unit.is_test for unit in parsed(source, GRAMMAR).units] == [False, False, True, False]
