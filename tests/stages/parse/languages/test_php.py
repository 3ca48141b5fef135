"""PHP's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "php"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_classes_and_methods_are_units_with_their_parts() -> None:
    source = (
        "<?php\n/** Doc. */\n#[Pure]\nfinal class A extends B {\n"
        "    public function __construct(private int $x) {}\n"
        "    // Why.\n    abstract protected static function run(?int $a, string ...$b): ?static;\n}\n"
        "function &f(array $xs) {}\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("class", "A", doc="/** Doc. */"),
        SeenUnit("constructor", "A.__construct", "(private int $x)"),
        SeenUnit("method", "A.run", "(?int $a, string ...$b)", "?static", "// Why."),
        SeenUnit("function", "f", "(array $xs)"),
    ]


def test_interfaces_traits_and_enums_hold_methods_and_anonymous_classes_too() -> None:
    source = (
        "<?php\ninterface I { function a(); }\ntrait T { function b() {} }\n"
        "enum E: string { case X = 'x'; function c() {} }\n"
        "function f() { return new class { function d() { function e() {} } }; }\n"
    )
    assert names(source, GRAMMAR) == [
        ("interface", "I"),
        ("method", "I.a"),
        ("trait", "T"),
        ("method", "T.b"),
        ("enum", "E"),
        ("method", "E.c"),
        ("function", "f"),
        ("method", "f.d"),
        ("function", "f.d.e"),
    ]


def test_namespaces_with_braces_enclose_and_clauses_do_not() -> None:
    assert names("<?php\nnamespace A\\B;\nclass C {}\n", GRAMMAR) == [("module", "A\\B"), ("class", "C")]
    assert names("<?php\nnamespace A\\B { class C {} }\n", GRAMMAR) == [("module", "A\\B"), ("class", "A\\B.C")]


def test_functions_without_name_are_named_by_what_they_are_directly_the_value_of() -> None:
    source = (
        "<?php\n$f = function ($x) use ($y): int { return $x; };\n$this->g = fn($x) => $x;\nA::$h = static fn() => 1;\n"
        '$a = [\'k\' => fn() => 1, "l" => function () {}, fn() => 2, "m$n" => fn() => 3];\nmap(fn($x) => $x);\n'
    )
    assert units(source, GRAMMAR)[0] == SeenUnit("lambda", "f", "($x)", "int")
    assert [name for _, name in names(source, GRAMMAR)] == ["f", "g", "h", "k", "l", None, None, None]


def test_imports_name_module_and_names() -> None:
    source = (
        "<?php\nuse A\\B\\C;\nuse \\D\\E as F, G;\nuse H\\{I, J\\K as L, function m};\nuse function N\\o;\n"
        "require_once 'p.php';\ninclude(\"q/r.php\");\nrequire __DIR__ . '/s.php';\n"
    )
    assert imports(source, GRAMMAR) == [
        ("A\\B", ["C"]),
        ("\\D", ["E"]),
        ("G", []),
        ("H", ["I", "J\\K", "m"]),
        ("N", ["o"]),
        ("p.php", []),
        ("q/r.php", []),
    ]


def test_tests_are_known_by_name_or_attribute() -> None:
    source = (
        "<?php\nclass CartTest extends TestCase {\n    function testAdd() {}\n    #[Test]\n    function adds() {}\n"
        "    function testify() {}\n}\n"
    )
    found = {unit.name: unit.is_test for unit in parsed(source, GRAMMAR).units}
    assert found == {"CartTest": True, "testAdd": True, "adds": True, "testify": False}


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = "<?php\nclass A implements I {\n    use T;\n    private $p = 1;\n}\n[$a, $b] = [1, 'k' => $c];\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.variable": ["private $p = 1;"],
            "declaration.declarator": ["$p = 1"],
            "type.reference": ["I", "T"],
            "pattern": ["[$a, $b]"],
            "expression.collection": ["[1, 'k' => $c]"],
            "data.pair": ["'k' => $c"],
            "expression.literal": ["1", "1", "'k'"],
        },
    )


def test_expressions_have_their_concepts() -> None:
    source = '<?php\n$s = "a $x {$y->z}";\n$o?->m(A::C, $i[0]) ?? -1;\nthrow new E((int) $t ? 1 : 2);\n'
    assert_concepts(
        source,
        GRAMMAR,
        {
            "expression.interpolation": ["$x"],
            "expression.member": ["$y->z", "A::C"],
            "expression.call": ["$o?->m(A::C, $i[0])", "new E((int) $t ? 1 : 2)"],
            "expression.index": ["$i[0]"],
            "expression.binary": ["$o?->m(A::C, $i[0]) ?? -1"],
            "expression.unary": ["-1"],
            "expression.cast": ["(int) $t"],
            "statement.exception": ["throw new E((int) $t ? 1 : 2)"],
        },
    )


def test_functions_given_to_a_test_function_are_tests() -> None:
    source = "<?php\nit('adds', function () {});\nmap(fn($x) => $x);\n"
    assert [unit.is_test for unit in parsed(source, GRAMMAR).units] == [True, False]
