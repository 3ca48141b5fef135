"""C++'s table."""

from schemas.ast import CONCEPTS
from stages.parse.parse import parse_source
from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "cpp"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_members_of_a_class_are_units_with_their_parts() -> None:
    source = (
        "class A : public B {\n  A() = default;\n  explicit A(int x) : x_(x) {}\n  virtual ~A();\n"
        "  virtual const T& get(int a = 1) const = 0;\n  bool operator==(const A&) const;\n"
        "  auto f() -> int { return 1; }\n"
        "  template <class U> U* g(U&& u);\n  int x_, (*cb)(int);\n};\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A"),
        SeenUnit("constructor", "A.A", "()"),
        SeenUnit("constructor", "A.A", "(int x)"),
        SeenUnit("method", "A.~A", "()"),
        SeenUnit("method", "A.get", "(int a = 1)", "T"),
        SeenUnit("method", "A.operator==", "(const A&)", "bool"),
        SeenUnit("method", "A.f", "()", "int"),
        SeenUnit("method", "A.g", "(U&& u)", "U"),
    ]


def test_definitions_outside_of_the_class_belong_to_it() -> None:
    source = (
        "namespace n {\nA::A() {}\nA::~A() {}\ntemplate <class T> void B<T>::f(int a) const {}\n"
        "A& A::operator=(const A&) { return *this; }\nstd::ostream& operator<<(std::ostream& o, A);\n}\n"
    )
    assert names(source, GRAMMAR) == [
        ("module", "n"),
        ("constructor", "n.A.A"),
        ("method", "n.A.~A"),
        ("method", "n.B.f"),
        ("method", "n.A.operator="),
        ("function", "n.operator<<"),
    ]


def test_conversions_are_methods_with_parameters() -> None:
    source = "struct A { operator bool() const { return x; } };\nA::operator const char*() { return y; }\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("struct", "A"),
        SeenUnit("method", "A.operator bool", "()"),
        SeenUnit("method", "A.operator const char*", "()"),
    ]


def test_a_nested_namespace_is_named_as_written() -> None:
    assert names("namespace a::b { class C {}; }\n", GRAMMAR) == [("module", "a::b"), ("class", "a::b.C")]


def test_prototypes_are_functions_and_pointers_to_functions_variables() -> None:
    source = "const char* f(int);\nint (*p)(int);\nclass A { A& g(); int (*q)(int); int h(); int *x; };\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.function": ["const char* f(int);", "A& g();", "int h();"],
            "declaration.variable": ["int (*p)(int);", "int (*q)(int);", "int *x;"],
        },
    )


def test_classes_structs_and_enums_are_units_where_they_are_defined() -> None:
    source = (
        "class F;\nnamespace { struct S { enum class E : int { X }; }; }\ntemplate <> struct S<int> { };\n"
        "typedef struct { int a; } T;\nclass F* p;\nunion U { int a; };\n"
    )
    assert names(source, GRAMMAR) == [
        ("module", None),
        ("struct", "S"),
        ("enum", "S.E"),
        ("struct", "S"),
        ("struct", "T"),
        ("struct", "U"),
    ]


def test_a_variable_with_arguments_in_a_body_is_no_prototype() -> None:
    source = "int f(A);\nvoid g() {\n  A a(b);\n  A c(1);\n  A d{2};\n}\n"
    assert names(source, GRAMMAR) == [("function", "f"), ("function", "g")]
    assert_concepts(source, GRAMMAR, {"declaration.variable": ["A a(b);", "A c(1);", "A d{2};"]})


def test_lambdas_are_named_by_what_they_are_assigned_to() -> None:
    source = (
        "auto f = [&](auto y) -> int { return y; };\nstruct A { std::function<int()> g = [] { return 1; }; };\n"
        "void m() {\n  const auto& h = [] {};\n  a->k = [] {};\n  l = [] {};\n  s += [] {};\n  run([](int) {});\n"
        "  B b = { .c = [] {} };\n}\n"
    )
    assert units(source, GRAMMAR)[0] == SeenUnit("lambda", "f", "(auto y)", "int")
    assert [name for kind, name in names(source, GRAMMAR) if kind == "lambda"] == [
        "f",
        "A.g",
        "m.h",
        "m.k",
        "m.l",
        None,
        None,
        "m.c",
    ]


def test_a_comment_before_template_documents_what_follows() -> None:
    source = "// Why.\ntemplate <class T>\nclass A {\n  // How.\n  template <class U>\n  void f(U u);\n};\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A", doc="// Why."),
        SeenUnit("method", "A.f", "(U u)", "void", "// How."),
    ]


def test_includes_and_using_declarations_are_imports() -> None:
    source = (
        "#include <vector>\nusing namespace a::b;\nusing std::vector;\nusing X = int;\nclass A : B { using B::f; };\n"
    )
    assert imports(source, GRAMMAR) == [("vector", []), ("a::b", ["*"]), ("std", ["vector"]), ("B", ["f"])]


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = (
        "template <typename T, int N = 1, class... P> class A : std::b<T> {\n"
        "  class C; enum E { X }; void f(int a); std::d g;\n};\n"
        "void A::f(int a) {\n  auto [k, l] = std::move(x);\n  delete new T(1);\n"
        "  y = T{2} + static_cast<int>(A::z) + 3_km;\n"
        "  co_await u;\n}\n"
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.type_parameter": ["typename T", "int N = 1", "class... P"],
            "declaration.parameter": ["int a", "int a"],
            "declaration.variable": ["std::d g;", "auto [k, l] = std::move(x);"],
            "declaration.enum_member": ["X"],
            "expression.member": ["std::move", "A::z"],
            "expression.call": ["std::move(x)", "new T(1)", "T{2}", "static_cast<int>(A::z)"],
            "expression.literal": ["1", "1", "2", "3_km"],
            "expression.unary": ["delete new T(1)"],
            "expression.async": ["co_await u"],
            "pattern": ["[k, l]"],
        },
    )


def test_a_qualified_name_is_a_member_in_expressions_only() -> None:
    source = "void a::b::C::f(d::e::G g) {\n  try { h::i::j(k::l::m); } catch (const n::o::P& p) { }\n}\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "expression.member": ["h::i::j", "i::j", "k::l::m", "l::m"],
            "declaration.parameter": ["d::e::G g"],
            "declaration.declarator": ["const n::o::P& p"],
        },
    )


def test_macros_before_namespaces_and_in_heads_of_classes_are_seen_through() -> None:
    source = (
        b"BEGIN\nnamespace a {\nint f(A);\nvoid g() { A b(c); }\n}\nclass API B { int x; int h(int); };\n"
        b"class C { MACRO C(int); explicit MACRO C() : x(1) { } };\n"
    )
    found = parse_source(source, GRAMMAR)
    assert [(unit.kind, unit.qualified_name, unit.returns == (None, None)) for unit in found.units] == [
        ("module", "a", True),
        ("function", "a.f", False),
        ("function", "a.g", False),
        ("class", "B", True),
        ("method", "B.h", False),
        ("class", "C", True),
        ("constructor", "C.C", True),
        ("constructor", "C.C", True),
    ]
    tree = found.tree
    mistaken = [node for node in range(len(tree)) if tree.type(node) == "function_definition"]
    assert [tuple(CONCEPTS)[tree.concept[node]] for node in mistaken] == [
        "declaration.module",
        "declaration.function",
        "declaration.class",
        "declaration.function",
    ]


def test_test_macros_are_tests() -> None:
    found = parsed("TEST_F(A, B) { EXPECT_EQ(1, 2); }\nvoid testing() { }\n", GRAMMAR).units
    assert [(unit.kind, unit.name, unit.is_test) for unit in found] == [
        ("function", "TEST_F", True),
        ("function", "testing", False),
    ]
