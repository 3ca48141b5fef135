"""Ruby's table."""

from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, imports, names, parsed, units

GRAMMAR = "ruby"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_methods_classes_and_modules_are_units_with_their_parts() -> None:
    source = """# Doc.
module A::B
  class C < D
    def initialize(a, b: 1, *c); end
    def x=(v); end
    def ==(o) = true
    # Why.
    private def plain a, b
    end
    def self.make; end
  end
end
def top; end
"""
    assert units(source, GRAMMAR) == [
        SeenUnit("module", "A::B", doc="# Doc."),
        SeenUnit("class", "A::B.C"),
        SeenUnit("constructor", "A::B.C.initialize", "(a, b: 1, *c)"),
        SeenUnit("method", "A::B.C.x=", "(v)"),
        SeenUnit("method", "A::B.C.==", "(o)"),
        SeenUnit("method", "A::B.C.plain", "a, b", doc="# Why."),
        SeenUnit("method", "A::B.C.make"),
        SeenUnit("function", "top"),
    ]


def test_a_class_opened_on_an_object_is_no_unit_but_holds_methods() -> None:
    source = "module M\n  class << self\n    def a; end\n  end\n  def b; end\nend\n"
    assert names(source, GRAMMAR) == [("module", "M"), ("method", "M.a"), ("function", "M.b")]


def test_only_arrows_are_lambdas_and_take_their_name_from_an_assignment_or_a_hash() -> None:
    source = """f = ->(x, y = 1) { x }
@g ||= -> { 1 }
self.h = -> z do z end
o = { k: -> {}, "s" => -> {} }
a[1] = -> {}
scope :b, -> {}, if: -> {}
l = lambda { |x| x }
"""
    assert units(source, GRAMMAR) == [
        SeenUnit("lambda", "f", "(x, y = 1)"),
        SeenUnit("lambda", "@g"),
        SeenUnit("lambda", "h", "z"),
        SeenUnit("lambda", "k"),
        SeenUnit("lambda", "s"),
        SeenUnit("lambda", None),
        SeenUnit("lambda", None),
        SeenUnit("lambda", None),
    ]


def test_imports_are_calls_with_a_literal_and_without_receiver() -> None:
    source = """require 'a/b'
require_relative "c"
load('d.rb') if x
autoload :E, 'e'
require "f#{g}"
require File.join('h')
obj.require 'i'
"""
    assert imports(source, GRAMMAR) == [("a/b", []), ("c", []), ("d.rb", []), ("e", [])]


def test_calls_that_import_or_raise_have_their_own_concepts() -> None:
    source = "require 'a'\nraise B, 'c' unless d\ne.raise 'f'\ng.h\nbare\nraise if i\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.import": ["require 'a'"],
            "statement.exception": ["raise B, 'c'", "raise"],
            "statement.conditional": ["raise B, 'c' unless d", "raise if i"],
            "expression.call": ["e.raise 'f'", "g.h"],
        },
    )


def test_concepts_depend_on_where_a_name_stands() -> None:
    source = """class A::B::C < D::E
  def f(a, *b, c:, &d)
    g { |h, (i, j), *k; l| return m, 1 }
    case n
    in [o, *p] then { q: 1 }
    end
    r(s: :t)
  end
end
"""
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.parameter": ["a", "*b", "c:", "&d", "h", "(i, j)", "*k"],
            "expression.member": ["D::E"],
            "expression.argument": ["s: :t"],
            "expression.arguments": ["(s: :t)"],
            "expression.collection": ["{ q: 1 }"],
            "expression.literal": ["1", "1", ":t"],
            "pattern": ["[o, *p]", "*p"],
        },
    )


def test_a_begin_is_an_exception_only_with_a_handler() -> None:
    source = "begin\n  a\nrescue B => c\n  d\nensure\n  e\nend\nf = begin\n  g\nend\n"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "statement.exception": ["begin\n  a\nrescue B => c\n  d\nensure\n  e\nend"],
            "statement.handler": ["rescue B => c\n  d", "ensure\n  e"],
            "statement.block": ["begin\n  g\nend"],
        },
    )


def test_classes_and_methods_named_by_convention_are_tests() -> None:
    source = "class ATest < B\n  def test_c; end\n  def latest; end\nend\n"
    assert [(unit.name, unit.is_test) for unit in parsed(source, GRAMMAR).units] == [
        ("ATest", True),
        ("test_c", True),
        ("latest", False),
    ]
