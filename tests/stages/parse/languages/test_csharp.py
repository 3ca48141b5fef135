"""C#'s table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "csharp"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_members_of_a_class_are_units_with_their_parts() -> None:
    source = (
        "class A<T> : B where T : new() {\n  public A(int a) : base(a) { }\n  ~A() { }\n"
        "  public static A operator +(A a, A b) => a;\n  public static implicit operator int(A a) => 1;\n"
        "  async Task<int> M<U>(ref int b, params int[] c) => 1;\n  void I.N() { }\n  int P { get; set; }\n}\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A"),
        SeenUnit("constructor", "A.A", "(int a)"),
        SeenUnit("method", "A.A", "()"),
        SeenUnit("method", "A.+", "(A a, A b)", "A"),
        SeenUnit("method", None, "(A a)", "int"),
        SeenUnit("method", "A.M", "(ref int b, params int[] c)", "Task<int>"),
        SeenUnit("method", "A.N", "()", "void"),
    ]


def test_a_namespace_with_a_body_qualifies_what_is_in_it() -> None:
    source = (
        "namespace A.B { record R(int X); record struct S(int Y); interface I { int M(); }\n"
        "  enum E { X } delegate void D(); struct T { } }\n"
    )
    assert names(source, GRAMMAR) == [
        ("module", "A.B"),
        ("class", "A.B.R"),
        ("struct", "A.B.S"),
        ("interface", "A.B.I"),
        ("method", "A.B.I.M"),
        ("enum", "A.B.E"),
        ("struct", "A.B.T"),
    ]


def test_a_namespace_without_a_body_qualifies_nothing() -> None:
    source = "namespace A.B;\nclass C { void M() { int L(int x) => x; } }\n"
    assert names(source, GRAMMAR) == [("module", "A.B"), ("class", "C"), ("method", "C.M"), ("function", "C.M.L")]


def test_lambdas_are_named_by_what_they_are_assigned_to() -> None:
    source = (
        "class A {\n  Func<int, int> f = x => x;\n  Action P { get; } = () => { };\n  void M() {\n"
        "    var g = int (x) => x;\n    this.h = delegate (int x) { };\n    a.Click += (s, e) => { };\n"
        "    var o = new B { K = () => 1 };\n    Run(() => 2);\n  }\n}\n"
    )
    assert [unit for unit in units(source, GRAMMAR) if unit.kind == "lambda"] == [
        SeenUnit("lambda", "A.f", "x"),
        SeenUnit("lambda", "A.P", "()"),
        SeenUnit("lambda", "A.M.g", "(x)", "int"),
        SeenUnit("lambda", "A.M.h", "(int x)"),
        SeenUnit("lambda", None, "(s, e)"),
        SeenUnit("lambda", "A.M.K", "()"),
        SeenUnit("lambda", None, "()"),
    ]


def test_a_comment_before_the_attributes_documents_a_unit() -> None:
    source = (
        "/// <summary>Why</summary>\n/// more\n[Serializable]\npublic class A {\n  int x; // not this\n"
        "  void M() { }\n}\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A", doc="/// <summary>Why</summary>\n/// more"),
        SeenUnit("method", "A.M", "()", "void"),
    ]


def test_using_directives_are_imports_and_using_statements_are_not() -> None:
    source = (
        "using System.Linq;\nusing static A.B;\nusing C = D.E;\nglobal using F;\n"
        "class X { void M() { using var a = Open(); using (var b = Open()) { } } }\n"
    )
    assert imports(source, GRAMMAR) == [("System.Linq", []), ("A.B", ["*"]), ("D.E", []), ("F", [])]
    assert_concepts(
        source,
        GRAMMAR,
        {
            "statement.context": ["using var a = Open();", "using (var b = Open()) { }"],
            "declaration.declarator": ["a = Open()", "b = Open()"],
        },
    )


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = (
        "class A {\n  [X, Y(1)] int p { get; }\n  void M(B.C a, params int[] b) {\n    for (int i = 0; ; ) { }\n"
        "    var o = new D { E = 1 };\n    (q, r) = (1, 2);\n    x = a?.b.c ?? y;\n    z = a?[0];\n"
        "    if (x is string) { }\n    F(name: y as G);\n  }\n}\n"
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.decorator": ["X", "Y(1)"],
            "declaration.parameter": ["B.C a", "b"],
            "declaration.variable": ["[X, Y(1)] int p { get; }", "int i = 0", "var o = new D { E = 1 };"],
            "data.pair": ["E = 1"],
            "pattern": ["(q, r)"],
            "expression.collection": ["{ E = 1 }", "(1, 2)"],
            "expression.member": ["a?.b.c", "a?.b"],
            "expression.index": ["a?[0]"],
            "expression.binary": ["a?.b.c ?? y", "x is string", "y as G"],
            "expression.argument": ["1", "0", "name: y as G"],
        },
    )


def test_attributes_mark_tests_and_a_modifier_asynchronous_units() -> None:
    source = (
        '[TestFixture] class A { [Test, Category(1)] public async Task M() { } [Xunit.Fact(Skip = "x")] void N() { }\n'
        "  [Testable] void O(bool async) { } }\n"
    )
    found = [(unit.name, unit.is_test, unit.is_async) for unit in parsed(source, GRAMMAR).units]
    assert found == [("A", True, False), ("M", True, True), ("N", True, False), ("O", False, False)]


def test_a_lambda_with_a_name_may_be_asynchronous() -> None:
    found = parsed("class A { Func<Task> f = async () => { }; Func<int> g = () => 1; }\n", GRAMMAR).units
    assert [unit.is_async for unit in found] == [False, True, False]
