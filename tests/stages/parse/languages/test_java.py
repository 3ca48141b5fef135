"""Java's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "java"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_classes_methods_and_constructors_are_units_with_their_parts() -> None:
    source = (
        "class A<T> extends B {\n  A(int... xs) { this(1); }\n"
        "  public <U> List<U> f(final int a, T[] b) { return null; }\n"
        "  abstract int g();\n}\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A"),
        SeenUnit("constructor", "A.A", "(int... xs)"),
        SeenUnit("method", "A.f", "(final int a, T[] b)", "List<U>"),
        SeenUnit("method", "A.g", "()", "int"),
    ]


def test_records_enums_interfaces_and_annotation_types_are_units() -> None:
    source = (
        "record P(int x) { P { } }\nenum E { A { void f() {} }, B; E() {} }\ninterface I { void m(); }\n"
        "@interface N { int value() default 1; }\n"
    )
    assert names(source, GRAMMAR) == [
        ("class", "P"),
        ("constructor", "P.P"),
        ("enum", "E"),
        ("method", "E.f"),
        ("constructor", "E.E"),
        ("interface", "I"),
        ("method", "I.m"),
        ("interface", "N"),
        ("method", "N.value"),
    ]


def test_a_package_qualifies_nothing_and_an_anonymous_class_lends_its_methods_to_what_encloses_it() -> None:
    source = "package a.b;\nclass A { Object f() { return new B() { void g() { class C {} } }; } }\n"
    assert names(source, GRAMMAR) == [
        ("module", "a.b"),
        ("class", "A"),
        ("method", "A.f"),
        ("method", "A.f.g"),
        ("class", "A.f.g.C"),
    ]


def test_lambdas_are_named_by_what_they_are_assigned_to() -> None:
    source = "class A { F f = x -> x; void m() { this.g = () -> 1; h = (a, b) -> a; a[0] = () -> 2; run(() -> 3); } }\n"
    assert names(source, GRAMMAR) == [
        ("class", "A"),
        ("lambda", "A.f"),
        ("method", "A.m"),
        ("lambda", "A.m.g"),
        ("lambda", "A.m.h"),
        ("lambda", None),
        ("lambda", None),
    ]


def test_a_comment_before_the_annotations_documents_a_method() -> None:
    source = "class A {\n  int x; // not this\n  /** Doc. */\n  @Override\n  public void f() {}\n\n  void g() {}\n}\n"
    assert units(source, GRAMMAR)[1:] == [
        SeenUnit("method", "A.f", "()", "void", "/** Doc. */"),
        SeenUnit("method", "A.g", "()", "void"),
    ]


def test_imports_name_package_and_class() -> None:
    source = "import a.b.C;\nimport a.b.*;\nimport static a.B.c;\nimport static a.B.*;\n"
    assert imports(source, GRAMMAR) == [("a.b", ["C"]), ("a.b", ["*"]), ("a.B", ["c"]), ("a.B", ["*"])]


def test_a_module_declaration_is_a_module_that_imports_what_it_requires() -> None:
    source = "module a.b { requires transitive java.base; exports a.c; }\n"
    assert names(source, GRAMMAR) == [("module", "a.b")]
    assert imports(source, GRAMMAR) == [("java.base", [])]


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = (
        "class A {\n  static { x = 1; }\n  { y = 2; }\n  @N(v = {1}) int f(int a) throws E {\n"
        "    try (R r = a.b.open(); s) { g((p, q) -> p, z -> z); } catch (E | F e) { }\n"
        "    for (int i = 0; i < 1; i++) { }\n"
        "    return new int[] {1}[0];\n  }\n}\n"
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.parameter": ["int a", "p", "q", "z"],
            "declaration.other": ["static { x = 1; }", "{ y = 2; }"],
            "declaration.decorator": ["@N(v = {1})"],
            "declaration.declarator": ["R r = a.b.open()", "E | F e", "i = 0"],
            "declaration.variable": ["int i = 0;"],
            "type.clause": ["throws E"],
            "expression.member": ["a.b"],
            "expression.call": ["a.b.open()", "g((p, q) -> p, z -> z)", "new int[] {1}"],
            "expression.collection": ["{1}", "{1}"],
        },
    )


def test_junit_marks_tests() -> None:
    source = (
        "class A { @Test void adds() {} @org.junit.Test public void b() {} public void testC() {} void attest() {}\n"
        '  @ParameterizedTest(name = "x") void d(int x) {} @TestConfiguration void e() {} }\n'
    )
    found = {unit.name: unit.is_test for unit in parsed(source, GRAMMAR).units}
    assert found == {"A": False, "adds": True, "b": True, "testC": True, "attest": False, "d": True, "e": False}
