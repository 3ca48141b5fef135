"""C++."""

from collections.abc import Iterator

from stages.parse.grammar import Case, Grammar, Import, Imported, Tests, Unit, merged
from stages.parse.languages.c import (
    CLASS_PLACES,
    CLASS_UNITS,
    SHARED_CASES,
    SHARED_CONCEPTS,
    class_name,
    declarators,
    declared_function,
    declared_name,
    declared_type,
    has_body,
    include,
)
from stages.parse.tree import Tree

_BODIES = ("compound_statement", "case_statement", "labeled_statement", "init_statement")
"""Where a declaration that looks like a prototype is a variable with arguments: `A a(b);`."""


_CLASSES = ("class_specifier", "struct_specifier", "union_specifier")


def _using(tree: Tree, node: int) -> Iterator[Imported]:
    """`using namespace a::b;`, `using a::b;`."""
    path = tree.first(node, "qualified_identifier", "identifier")
    if path is None:
        return
    text = "".join(tree.text(path).split())
    if tree.first(node, "namespace", "enum") is not None:
        yield node, text, ["*"]
    else:
        module, _, name = text.rpartition("::")
        yield node, module, [name]


def _function(tree: Tree, node: int) -> int | None:
    """The declarator with the parameters, also of a conversion such as `A::operator bool() const`."""
    below = tree.child(node, "declarator")
    while below is not None and tree.type(below) == "qualified_identifier":
        below = tree.child(below, "name")
    if below is None or tree.type(below) != "operator_cast":
        return declared_function(tree, node)
    chain = declarators(tree, below)
    return chain[-1] if chain else None


_LEVELS = 64
"""Blocks within blocks that are climbed to what they belong to."""


def _is_function(tree: Tree, node: int) -> bool:
    """Whether a definition, or a declaration outside of functions, is that of a function."""
    if _function(tree, node) is None:
        return False
    around = tree.parent(node)
    if tree.type(node) == "function_definition" or around is None or tree.type(around) not in _BODIES:
        return True
    for _ in range(_LEVELS):
        if around is not None and tree.type(around) in _BODIES:
            around = tree.parent(around)
    # `MACRO namespace a { ... }` and `class MACRO A { ... }` are definitions of functions to the parser
    return around is not None and tree.type(around) == "function_definition" and _function(tree, around) is None


def _name(tree: Tree, node: int) -> int | None:
    """What is declared; of `explicit MACRO A(int)`, which the parser takes for `MACRO::A`, the last part."""
    name = declared_name(tree, node)
    while name is not None and tree.type(name) == "qualified_identifier" and b"::" not in tree.bytes(name):
        name = tree.child(name, "name")
    return name


def _mistaken_namespace(tree: Tree, node: int) -> int | None:
    """The name of a namespace where the parser took `MACRO namespace a { ... }` for a function."""
    words = [word for word in (tree.child(node, "declarator"), tree.first(node, "ERROR")) if word is not None]
    names = [word for word in words if tree.bytes(word) != b"namespace"]
    return names[0] if len(names) == 1 and len(words) == 2 else None


def _is_namespace(tree: Tree, node: int) -> bool:
    return _mistaken_namespace(tree, node) is not None


def _is_class(tree: Tree, node: int) -> bool:
    """Whether the parser took `class MACRO A { ... }` for a function."""
    return tree.first(node, "class_specifier") is not None


def _is_struct(tree: Tree, node: int) -> bool:
    return tree.first(node, "struct_specifier") is not None


def _is_in_class(tree: Tree, node: int, name: str) -> bool:
    """Whether a declaration stands directly in the class of a name."""
    around = tree.parent(node)
    while around is not None and tree.type(around) in ("template_declaration", "field_declaration_list"):
        around = tree.parent(around)
    found = None if around is None or tree.type(around) not in _CLASSES else tree.child(around, "name")
    return found is not None and tree.text(found) == name


def _parameters(tree: Tree, node: int) -> int | None:
    function = _function(tree, node)
    return None if function is None else tree.child(function, "parameters")


def _returned_type(tree: Tree, node: int) -> int | None:
    """The type after `->`, else the one at the front."""
    name, function = _name(tree, node), _function(tree, node)
    if name is None or _is_in_class(tree, node, tree.text(name)):
        return None  # a constructor; what stands before it is a macro
    trailing = None if function is None else tree.first(function, "trailing_return_type")
    return declared_type(tree, node) if trailing is None else tree.first(trailing, "type_descriptor")


def _lambda_name(tree: Tree, node: int) -> int | None:
    """What a lambda is directly the value of: a variable, a field, the left side of `=`."""
    parent = tree.parent(node)
    kind = None if parent is None else tree.type(parent)
    if parent is None:
        return None
    if kind in ("init_declarator", "field_declaration"):
        return declared_name(tree, parent)
    if kind == "initializer_pair":
        designator = tree.child(parent, "designator")
        return None if designator is None else tree.first(designator, "field_identifier")
    if kind != "assignment_expression" or tree.first(parent, "=") is None:
        return None
    left = tree.child(parent, "left")
    if left is not None and tree.type(left) == "field_expression":
        return tree.child(left, "field")
    return left if left is not None and tree.type(left) in ("identifier", "qualified_identifier") else None


_TYPE_PARAMETERS = "type_parameter_declaration optional_type_parameter_declaration variadic_type_parameter_declaration"

CPP = Grammar(
    name="cpp",
    languages=("C++",),
    distribution="tree-sitter-cpp",
    module="tree_sitter_cpp",
    concepts=merged(
        SHARED_CONCEPTS,
        {
            "declaration.module": "namespace_definition",
            "declaration.import": "using_declaration",
            "declaration.type": "alias_declaration concept_definition",
            "declaration.parameter": "optional_parameter_declaration variadic_parameter_declaration",
            "declaration.type_parameters": "template_parameter_list",
            "declaration.type_parameter": _TYPE_PARAMETERS,
            "declaration.modifier": "access_specifier virtual_specifier explicit_function_specifier noexcept "
            "ref_qualifier default_method_clause delete_method_clause pure_virtual_clause",
            "declaration.other": "friend_declaration template_instantiation namespace_alias_definition "
            "field_initializer",
            "statement.block": "requirement_seq",
            "statement.loop": "for_range_loop",
            "statement.exception": "try_statement throw_statement",
            "statement.handler": "catch_clause",
            "statement.return": "co_return_statement",
            "statement.other": "static_assert_declaration simple_requirement compound_requirement type_requirement",
            "expression.call": "new_expression compound_literal_expression",
            "expression.literal": "raw_string_literal user_defined_literal",
            "expression.identifier": "this namespace_identifier nested_namespace_specifier template_function "
            "template_method operator_name destructor_name operator_cast",
            "expression.binary": "constraint_conjunction constraint_disjunction",
            "expression.unary": "delete_expression",
            "expression.member": "qualified_identifier",
            "expression.lambda": "lambda_expression",
            "expression.async": "co_await_expression",
            "expression.yield": "co_yield_statement",
            "expression.other": "fold_expression parameter_pack_expansion requires_expression",
            "type.reference": "class_specifier template_type dependent_type decltype placeholder_type_specifier",
            "type.arguments": "template_argument_list",
            "type.clause": "base_class_clause trailing_return_type throw_specifier requires_clause",
            "pattern": "structured_binding_declarator",
            "none": "abstract_reference_declarator auto condition_clause dependent_name field_initializer_list "
            "init_statement lambda_capture_initializer lambda_capture_specifier lambda_default_capture literal_suffix "
            "new_declarator pointer_type_declarator raw_string_content raw_string_delimiter reference_declarator "
            "subscript_argument_list template_declaration template_template_parameter_declaration variadic_declarator",
        },
    ),
    cases=(
        *SHARED_CASES,
        # `class MACRO A { ... }` and `MACRO namespace a { ... }`
        Case(
            kinds="function_definition",
            child="function_declarator pointer_declarator reference_declarator qualified_identifier operator_cast",
            concept="declaration.function",
        ),
        Case(kinds="function_definition", child="class_specifier struct_specifier", concept="declaration.class"),
        Case(kinds="function_definition", child="identifier", concept="declaration.module"),
        Case(
            kinds="compound_statement",
            parent="function_definition",
            parent_concept="declaration.class declaration.module",
            concept="none",
        ),
        Case(
            kinds="declaration",
            parent=" ".join(_BODIES),
            parent_concept="statement.block statement.case statement.other",
            concept="declaration.variable",
        ),
        Case(kinds="declaration", parent="init_statement", concept="declaration.variable"),
        Case(  # int (*f)(int);
            kinds="declaration field_declaration",
            child="parenthesized_declarator",
            through="function_declarator pointer_declarator reference_declarator",
            concept="declaration.variable",
        ),
        Case(
            kinds="declaration field_declaration",
            child="function_declarator operator_cast",
            through="pointer_declarator reference_declarator",
            concept="declaration.function",
        ),
        Case(
            kinds="field_declaration",
            child="field_identifier pointer_declarator reference_declarator array_declarator parenthesized_declarator "
            "attributed_declarator bitfield_clause union_specifier",
            concept="declaration.variable",
        ),
        Case(kinds="class_specifier", child="field_declaration_list", concept="declaration.class"),
        Case(
            kinds="class_specifier struct_specifier union_specifier",
            parent=f"{CLASS_PLACES} template_declaration",
            concept="declaration.other",
        ),
        Case(kinds="parameter_list", parent="catch_clause", concept="none"),
        Case(
            kinds="parameter_declaration",
            parent="parameter_list",
            parent_concept="none",
            concept="declaration.declarator",
        ),
        Case(
            kinds="parameter_declaration optional_parameter_declaration variadic_parameter_declaration",
            parent="template_parameter_list",
            concept="declaration.type_parameter",
        ),
        Case(
            kinds="type_identifier",
            parent=f"class_specifier alias_declaration {_TYPE_PARAMETERS}",
            field="name",
            concept="expression.identifier",
        ),
        Case(
            kinds="type_identifier",
            parent="type_parameter_declaration variadic_type_parameter_declaration",
            concept="expression.identifier",
        ),
        Case(kinds="qualified_identifier", field="type", concept="type.reference"),
        Case(kinds="qualified_identifier", parent="base_class_clause friend_declaration", concept="type.reference"),
        Case(kinds="qualified_identifier", field="declarator", concept="expression.identifier"),
        Case(kinds="qualified_identifier", parent="using_declaration", concept="expression.identifier"),
        Case(kinds="qualified_identifier", child="type_identifier", concept="type.reference"),
        Case(
            kinds="qualified_identifier",
            parent="qualified_identifier",
            parent_concept="type.reference",
            concept="type.reference",
        ),
        Case(
            kinds="qualified_identifier",
            parent="qualified_identifier",
            parent_concept="expression.identifier",
            concept="expression.identifier",
        ),
        Case(kinds="compound_literal_expression", child="type_descriptor", concept="expression.other"),
        Case(kinds="number_literal string_literal char_literal", parent="user_defined_literal", concept="none"),
        Case(kinds="reference_declarator", child="function_declarator", concept="none"),
        Case(
            kinds="reference_declarator structured_binding_declarator",
            parent="declaration field_declaration",
            field="declarator",
            concept="declaration.declarator",
        ),
    ),
    units=(
        *CLASS_UNITS,
        Unit(
            kinds="class_specifier",
            unit="class",
            name=class_name,
            parameters="",
            returns="",
            when=has_body,
        ),
        Unit(kinds="namespace_definition", unit="module", parameters="", returns=""),
        Unit(
            kinds="function_definition declaration field_declaration",
            unit="function",
            name=_name,
            parameters=_parameters,
            returns=_returned_type,
            when=_is_function,
        ),
        Unit(
            kinds="function_definition",
            unit="module",
            name=_mistaken_namespace,
            parameters="",
            returns="",
            when=_is_namespace,
        ),
        Unit(kinds="function_definition", unit="class", name="declarator", parameters="", returns="", when=_is_class),
        Unit(kinds="function_definition", unit="struct", name="declarator", parameters="", returns="", when=_is_struct),
        Unit(
            kinds="lambda_expression",
            unit="lambda",
            name=_lambda_name,
            parameters="declarator/parameters",
            returns="declarator/:trailing_return_type/:type_descriptor",
        ),
    ),
    imports=(
        Import(kinds="preproc_include", read=include),
        Import(kinds="using_declaration", read=_using),
    ),
    class_name_constructs=True,
    asynchronous="",
    separator="::",
    wrappers="type_definition declaration field_declaration linkage_specification template_declaration "
    "friend_declaration",
    tests=Tests(name=r"^(?:TEST(?:_[FPG])?|TYPED_TEST(?:_P)?|TEST_CASE|TEST_METHOD|BOOST_\w*TEST_CASE)$|^test[A-Z_]"),
)

GRAMMARS = (CPP,)
