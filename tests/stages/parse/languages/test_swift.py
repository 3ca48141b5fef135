"""Swift's table."""

from tests.stages.parse.reading import assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "swift"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_are_units_with_their_parts() -> None:
    source = (
        "/// Doc.\n@discardableResult\npublic func run<T>(with a: Int, _ b: [T] = []) throws -> Result<T, E> { c }\n"
        "func stop() {}\nfunc pair() -> (Int, Int) { d }\n"
    )
    assert [(unit.qualified_name, unit.returns, unit.doc) for unit in units(source, GRAMMAR)] == [
        ("run", "Result<T, E>", "/// Doc."),
        ("stop", None, None),
        ("pair", "(Int, Int)", None),
    ]


def test_types_of_every_kind_hold_methods() -> None:
    source = (
        "class A {\n  init?(x: Int) {}\n  deinit {}\n  subscript(i: Int) -> String { get { s } }\n"
        "  static func == (l: A, r: A) -> Bool { b }\n}\n"
        "struct B {\n  enum C {\n    case x, y\n    func c() {}\n  }\n}\n"
        "actor D {\n  func d() {\n    func e() {}\n  }\n}\n"
        "protocol P {\n  func p(x: Int) -> Int\n  init()\n}\n"
    )
    assert names(source, GRAMMAR) == [
        ("class", "A"),
        ("constructor", "A.init"),
        ("method", "A.deinit"),
        ("method", "A.subscript"),
        ("method", "A.=="),
        ("struct", "B"),
        ("enum", "B.C"),
        ("method", "B.C.c"),
        ("class", "D"),
        ("method", "D.d"),
        ("function", "D.d.e"),
        ("interface", "P"),
        ("method", "P.p"),
        ("constructor", "P.init"),
    ]


def test_extensions_only_qualify() -> None:
    assert names("extension A.B: C where T == Int {\n  func f() {}\n}\n", GRAMMAR) == [("method", "A.B.f")]


def test_closures_are_named_by_what_they_are_directly_the_value_of() -> None:
    source = (
        "let f: (Int) -> Int = { x in x }, g = { 1 }\n"
        "func h() {\n  self.i = { [weak self] (a: Int) -> Int in a }\n  j(1) { $0 }\n  let k = { 1 }()\n}\n"
    )
    found = units(source, GRAMMAR)
    assert [unit.qualified_name for unit in found] == ["f", "g", "h", "h.i", None, None]
    assert found[0].parameters == "x"
    assert found[3].returns == "Int"


def test_imports_name_module_and_names() -> None:
    source = "import A\n@testable import B.C\nimport struct D.E.F\n"
    assert imports(source, GRAMMAR) == [("A", []), ("B.C", []), ("D.E", ["F"])]


def test_tests_are_known_by_name_or_attribute() -> None:
    source = "class CartTests: XCTestCase {\n  func testAdd() {}\n  @Test func adds() {}\n  func testify() {}\n}\n"
    found = {unit.name: unit.is_test for unit in parsed(source, GRAMMAR).units}
    assert found == {"CartTests": True, "testAdd": True, "adds": True, "testify": False}


def test_enumerations_have_members_and_variables_declarators() -> None:
    source = "enum A: String {\n  case b, c\n  case d(Int)\n  static let e = 1, f = 2\n}\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.enum": [source.strip()],
            "declaration.enum_member": ["case b, c", "case d(Int)"],
            "declaration.variable": ["static let e = 1, f = 2"],
            "declaration.declarator": ["e", "f"],
        },
    )


def test_statements_of_control_are_told_apart() -> None:
    source = (
        "func f() throws {\n  for a in b { continue }\n  do { try c() } catch { throw d }\n  do { e() }\n"
        "  guard g else { return 1 }\n}\n"
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "statement.loop": ["for a in b { continue }"],
            "statement.jump": ["continue"],
            "statement.exception": ["do { try c() } catch { throw d }", "throw d"],
            "statement.handler": ["catch { throw d }"],
            "statement.conditional": ["guard g else { return 1 }"],
            "statement.return": ["return 1"],
            "expression.unary": ["try c()"],
        },
    )


def test_expressions_have_their_concepts() -> None:
    source = 'let a = b ? .c : -d.e\nlet f = "g \\(h)"\nlet i = (1, j as? K)\nlet l = (m ?? n) is O\n'
    assert_concepts(
        source,
        GRAMMAR,
        {
            "expression.conditional": ["b ? .c : -d.e"],
            "expression.member": [".c", "d.e"],
            "expression.unary": ["-d.e"],
            "expression.interpolation": ["h"],
            "expression.collection": ["(1, j as? K)"],
            "expression.cast": ["j as? K"],
            "expression.binary": ["(m ?? n) is O", "m ?? n"],
            "expression.other": ["(m ?? n)"],
        },
    )


def test_parameters_stand_between_parentheses() -> None:
    source = (
        "func a(with x: (Int, Int), y: Int = f(1)) {}\nfunc b() -> (Int) -> Int { c }\nlet d = { (x: Int) in x }\n"
        "struct S {\n  init?(x: Int) {}\n  subscript(i: Int) -> Int { 1 }\n}\n"
    )
    assert [unit.parameters for unit in units(source, GRAMMAR)] == [
        "(with x: (Int, Int), y: Int = f(1))",
        "()",
        "(x: Int)",
        None,
        "(x: Int)",
        "(i: Int)",
    ]


def test_asynchronous_functions_say_so_behind_their_parameters() -> None:
    found = parsed("func a() async throws {}\nfunc b() { await a() }\n", GRAMMAR).units
    assert [unit.is_async for unit in found] == [True, False]
