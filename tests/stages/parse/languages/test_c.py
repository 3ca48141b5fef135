"""C's table."""

from stages.parse.parse import parse_source
from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "c"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_definitions_and_prototypes_are_units_with_their_parts() -> None:
    source = (
        'static const char *f(int a, ...) { return ""; }\nunsigned long **g(void);\nint (h)(int);\n'
        "int k(a) char a; { }\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "f", "(int a, ...)", "char"),
        SeenUnit("function", "g", "(void)", "unsigned long"),
        SeenUnit("function", "h", "(int)", "int"),
        SeenUnit("function", "k", "(a)", "int"),
    ]


def test_a_function_that_returns_a_pointer_to_a_function_has_its_own_parameters() -> None:
    assert units("void (*signal(int sig, void (*f)(int)))(int);\n", GRAMMAR) == [
        SeenUnit("function", "signal", "(int sig, void (*f)(int))", "void")
    ]


def test_pointers_to_functions_and_typedefs_are_no_units() -> None:
    source = (
        "int (*p)(int);\ntypedef int (*cb)(int);\ntypedef int fn(int);\nint x, *y, z[3];\n"
        "struct s { void (*m)(void); };\n"
    )
    assert names(source, GRAMMAR) == [("struct", "s")]


def test_structs_unions_and_enums_take_the_name_that_typedef_gives() -> None:
    source = (
        "typedef struct { union { int a; } u; } A, *P;\ntypedef struct b { int x; } B;\ntypedef enum { M } E;\n"
        "enum { N };\nstruct fwd;\nstruct b v;\nunion U { int a; };\n"
    )
    assert names(source, GRAMMAR) == [
        ("struct", "A"),
        ("struct", None),
        ("struct", "b"),
        ("enum", "E"),
        ("enum", None),
        ("struct", "U"),
    ]


def test_the_type_after_an_unknown_macro_is_the_returned_one() -> None:
    source = b"API int f(void);\nstatic force_inline void g(void) { }\nHRESULT WINAPI h(int);\n"
    found = parse_source(source, GRAMMAR)
    assert [found.source[slice(*unit.returns)] for unit in found.units] == [b"int", b"void", b"HRESULT"]


def test_comments_before_a_declaration_document_it() -> None:
    source = (
        "int x; /* not this */\n/* Why. */\ntypedef struct { int a; } A;\n\n// How.\n// So.\nstatic int\nf(void);\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("struct", "A", doc="/* Why. */"),
        SeenUnit("function", "f", "(void)", "int", "// How.\n// So."),
    ]


def test_includes_name_a_file() -> None:
    source = '#include <a/b.h>\n#include "c.h"\n#include MACRO\n'
    assert imports(source, GRAMMAR) == [("a/b.h", []), ("c.h", []), ("MACRO", [])]


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = (
        "struct s { int a, *b; struct { int c; }; };\nstruct t;\nstruct s v = { .a = 1 };\n"
        "int f(a) int a; { for (int i = 0; ; ) ; return (struct s){ 2 }.a + sizeof v; }\nint g(void);\n"
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.class": ["struct s { int a, *b; struct { int c; }; }", "struct { int c; }"],
            "declaration.other": ["struct t"],
            "declaration.variable": [
                "int a, *b;",
                "struct { int c; };",
                "int c;",
                "struct s v = { .a = 1 };",
                "int i = 0;",
            ],
            "declaration.declarator": ["a", "*b", "c", "v = { .a = 1 }", "a", "i = 0"],
            "declaration.parameter": ["a", "void"],
            "declaration.function": [
                "int f(a) int a; { for (int i = 0; ; ) ; return (struct s){ 2 }.a + sizeof v; }",
                "int g(void);",
            ],
            "expression.collection": ["{ .a = 1 }", "{ 2 }"],
            "expression.unary": ["sizeof v"],
            "data.pair": [".a = 1"],
        },
    )


def test_the_preprocessor_has_concepts() -> None:
    source = "#if defined(A) && B > 1\n#define M 1\n#elif C\n#pragma once\n#else\n#define F(x) (x + 2)\n#endif\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.macro": ["#define M 1\n", "#define F(x) (x + 2)\n"],
            "expression.unary": ["defined(A)"],
            "expression.literal": ["1"],
            "expression.binary": ["defined(A) && B > 1", "B > 1"],
        },
    )


def test_tests_are_known_by_name() -> None:
    found = parsed("static void test_add(void **state) { }\nvoid attest_x(void);\n", GRAMMAR).units
    assert [unit.is_test for unit in found] == [True, False]


def test_prototypes_are_functions_and_pointers_to_functions_variables() -> None:
    assert_concepts(
        "char **f(int);\nint (*p)(int);\nint g(void), x;\nchar *y;\n",
        GRAMMAR,
        {
            "declaration.function": ["char **f(int);", "int g(void), x;"],
            "declaration.variable": ["int (*p)(int);", "char *y;"],
        },
    )


def test_a_macro_with_a_body_is_a_function_and_one_behind_a_variable_is_none() -> None:
    for call in ("TEST_IMPL(tcp_open)", "TEST(tcp, open)"):
        source = call + " {\n  struct s { int a; } x;\n}\nint f(void);\n"
        result = parse_source(source.encode(), GRAMMAR)
        name, parameters = call.rstrip(")").split("(")
        assert [(unit.kind, unit.qualified_name, unit.end) for unit in result.units] == [
            ("function", name, source.index("}\nint") + 1),
            ("struct", f"{name}.s", source.index(" x;")),
            ("function", "f", len(source) - 1),
        ]
        assert result.units[0].parameters == (len(name), len(f"{name}({parameters})"))
    assert parse_source(b"struct a { Oid owner LOOKUP(x); };\nOid owner LOOKUP(x);", GRAMMAR).units[1:] == []
