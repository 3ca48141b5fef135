"""Rust's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "rust"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_are_units_with_their_parts() -> None:
    source = "/// Doc.\npub async fn run<T>(a: u8, b: &[T]) -> Option<T> { None }\nfn stop() {}\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "run", "(a: u8, b: &[T])", "Option<T>", "/// Doc."),
        SeenUnit("function", "stop", "()"),
    ]


def test_structs_enums_unions_and_traits_are_units_and_impls_only_qualify() -> None:
    source = (
        "struct Unit;\nstruct Pair(u8, u8);\nunion Bits { a: u8 }\nenum Side { Left, Right }\n"
        "trait Draw { fn draw(&self); }\n"
        "impl<T> Draw for &'static Stack<T> { fn draw(&self) {} }\n"
        "impl geo::Point { fn new() -> Self { fn inner() {} Self } }\n"
    )
    assert names(source, GRAMMAR) == [
        ("struct", "Unit"),
        ("struct", "Pair"),
        ("struct", "Bits"),
        ("enum", "Side"),
        ("trait", "Draw"),
        ("method", "Draw.draw"),
        ("method", "Stack.draw"),
        ("method", "geo::Point.new"),
        ("function", "geo::Point.new.inner"),
    ]


def test_modules_enclose_and_those_of_other_files_are_no_units() -> None:
    assert names("mod other;\nmod a { mod b { fn f() {} } }\n", GRAMMAR) == [
        ("module", "a"),
        ("module", "a.b"),
        ("function", "a.b.f"),
    ]


def test_closures_are_named_by_what_they_are_directly_the_value_of() -> None:
    source = (
        "fn f(mut s: S) {\n    let add = |a, b: u8| -> u8 { a + b };\n    s.hook = move || 1;\n"
        "    let t = T { key: |x| x };\n    xs.map(|x| x);\n}\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "f", "(mut s: S)"),
        SeenUnit("lambda", "f.add", "|a, b: u8|", "u8"),
        SeenUnit("lambda", "f.hook", "||"),
        SeenUnit("lambda", "f.key", "|x|"),
        SeenUnit("lambda", None, "|x|"),
    ]


def test_asynchronous_functions_say_so() -> None:
    found = parsed("async fn a() {}\nfn b() { async {}; }\nimpl S { pub async unsafe fn c() {} }\n", GRAMMAR).units
    assert [(unit.name, unit.is_async) for unit in found] == [("a", True), ("b", False), ("c", True)]


def test_attributes_stand_between_a_unit_and_its_documentation() -> None:
    source = "/// Doc.\n#[derive(Debug)]\n#[repr(C)]\nstruct S;\n\n#[inline]\n/// Other.\nfn f() {}\n"
    assert units(source, GRAMMAR) == [
        SeenUnit("struct", "S", doc="/// Doc."),
        SeenUnit("function", "f", "()", doc="/// Other."),
    ]


def test_tests_are_known_by_their_attribute() -> None:
    source = (
        "#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn a() {}\n    #[test]\n    #[ignore]\n"
        "    fn b() {}\n    #[testing]\n    fn c() {}\n}\n"
    )
    found = {unit.name: unit.is_test for unit in parsed(source, GRAMMAR).units}
    assert found == {"tests": True, "a": True, "b": True, "c": False}


def test_imports_name_module_and_names() -> None:
    source = (
        "use a::b::{C, d::E, self};\nuse a::b::C as D;\nuse super::*;\nuse {f::g, h};\nuse k;\n"
        "pub use m::{n::{o, p as q}, r::*};\nextern crate s as t;\n"
    )
    assert imports(source, GRAMMAR) == [
        ("a::b", ["C", "d::E", "self"]),
        ("a::b", ["C"]),
        ("super", ["*"]),
        ("f", ["g"]),
        ("h", []),
        ("k", []),
        ("m", ["n::o", "n::p", "r::*"]),
        ("s", []),
    ]


def test_paths_are_members_only_where_they_are_values() -> None:
    source = "use a::b::c;\nfn f(x: d::e::T) { match g::h::i(x.y) { J::K(l) => m!(1), N::O => {} } }\n"
    assert_concepts(
        source,
        GRAMMAR,
        {"expression.member": ["g::h::i", "g::h", "x.y"], "expression.call": ["g::h::i(x.y)"]},
    )


def test_concepts_depend_on_where_a_node_stands() -> None:
    source = (
        'fn f(&self, a: u8) -> u8 {\n  let s = S { k: -1, a };\n  run(|x, (y, z)| &x[0])?;\n  return b"q" as T;\n}\n'
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.parameter": ["&self", "a: u8", "x", "(y, z)"],
            "declaration.variable": ["let s = S { k: -1, a };"],
            "expression.collection": ["S { k: -1, a }"],
            "expression.unary": ["-1", "run(|x, (y, z)| &x[0])?", "&x[0]"],
            "expression.index": ["x[0]"],
            "expression.cast": ['b"q" as T'],
            "data.pair": ["k: -1", "a"],
        },
    )
