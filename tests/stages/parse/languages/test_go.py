"""Go's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "go"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_methods_and_types_are_units_with_their_parts() -> None:
    source = """// Package a.
package a

// S is it.
type S[T any] struct { f func(int) string }

type I interface {
	Run(a, b int) error
	io.Reader
}
type F func()

// Get gets.
// Really.
func (s *S[T]) Get(k string, v ...T) (n int, err error) { return }
func (I) stop() {}
func New[T any](t T) *S[T]
"""
    assert units(source, GRAMMAR) == [
        SeenUnit("module", "a", doc="// Package a."),
        SeenUnit("struct", "S", doc="// S is it."),
        SeenUnit("interface", "I"),
        SeenUnit("method", "I.Run", "(a, b int)", "error"),
        SeenUnit("method", "S.Get", "(k string, v ...T)", "(n int, err error)", "// Get gets.\n// Really."),
        SeenUnit("method", "I.stop", "()"),
        SeenUnit("function", "New", "(t T)", "*S[T]"),
    ]


def test_a_lambda_is_named_after_what_it_is_the_value_of() -> None:
    source = """package a

var v = func() {}

func f() {
	x, y := 1, func(a int) int { return a }
	s.t = func() {}
	m["k"] = func() {}
	m[i] = func() {}
	_ = T{u: func() {}, "w": func() {}}
	go func() {}()
}
"""
    assert names(source, GRAMMAR) == [
        ("module", "a"),
        ("lambda", "v"),
        ("function", "f"),
        ("lambda", "f.y"),
        ("lambda", "f.t"),
        ("lambda", "f.k"),
        ("lambda", None),
        ("lambda", "f.u"),
        ("lambda", "f.w"),
        ("lambda", None),
    ]


def test_structs_and_interfaces_without_a_name_are_no_units() -> None:
    source = "package a\n\nvar x = []struct{ a int }{{1}}\n\nfunc f(y interface{}) { type L struct{} }\n"
    assert names(source, GRAMMAR) == [("module", "a"), ("function", "f"), ("struct", "f.L")]


def test_types_declared_in_one_group_have_their_own_comments() -> None:
    source = "package a\n\n// Group.\ntype (\n\tA struct{}\n\n\t// I is.\n\tI interface{ M() }\n)\n"
    assert units(source, GRAMMAR)[1:] == [
        SeenUnit("struct", "A"),
        SeenUnit("interface", "I", doc="// I is."),
        SeenUnit("method", "I.M", "()"),
    ]


def test_every_specification_is_an_import() -> None:
    source = 'package a\n\nimport "fmt"\nimport (\n\tb "x/y"\n\t. `dot`\n\t_ "side"\n)\n'
    assert imports(source, GRAMMAR) == [("fmt", []), ("x/y", []), ("dot", ["*"]), ("side", [])]
    assert_concepts(
        source,
        GRAMMAR,
        {"declaration.import": ['"fmt"', 'b "x/y"', ". `dot`", '_ "side"'], "declaration.module": ["package a"]},
    )


def test_functions_and_lambdas_named_by_convention_are_tests() -> None:
    source = """package a

func TestF(t *testing.T) { t.Run("x", func(t *testing.T) {}) }
func Benchmark(b *testing.B) {}
func Testify() { run(func() {}) }
"""
    assert [(unit.name, unit.is_test) for unit in parsed(source, GRAMMAR).units][1:] == [
        ("TestF", True),
        (None, True),
        ("Benchmark", True),
        ("Testify", False),
        (None, False),
    ]


def test_concepts_depend_on_what_a_declaration_holds() -> None:
    source = """package a

type (
	S struct {
		A, B int `k`
		E
	}
	L = S
)

const (
	X = iota
	Y
)

func f(a, b int) (c T, err error) {
	var d = 1
	select {
	case e := <-ch:
	case d = <-ch:
	case <-ch:
	}
	defer g()
	d++
	return p.Q{x.(int): {1}}, []byte(s[1:])
}
"""
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.class": ["S struct {\n\t\tA, B int `k`\n\t\tE\n\t}"],
            "declaration.type": ["L = S"],
            "declaration.variable": ["A, B int `k`", "E", "const (\n\tX = iota\n\tY\n)", "var d = 1", "e := <-ch"],
            "declaration.declarator": ["X = iota", "Y", "d = 1"],
            "declaration.parameter": ["a, b int", "c T", "err error"],
            "statement.assignment": ["d = <-ch"],
            "statement.context": ["defer g()"],
            "expression.call": ["g()", "[]byte(s[1:])"],
            "expression.unary": ["<-ch", "<-ch", "<-ch", "d++"],
            "expression.collection": ["p.Q{x.(int): {1}}"],
            "expression.cast": ["x.(int)"],
            "expression.index": ["s[1:]"],
        },
    )
