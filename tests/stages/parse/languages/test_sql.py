"""SQL's table."""

from stages.parse.parse import parse_source
from tests.stages.parse.reading import SeenUnit, assert_complete, assert_concepts, units

GRAMMAR = "sql"


def test_every_kind_of_the_grammar_has_a_concept() -> None:
    assert_complete(GRAMMAR)


def test_functions_are_units_with_their_parts_and_the_schema_in_their_name() -> None:
    source = (
        "CREATE OR REPLACE FUNCTION app.add(a int, OUT b integer DEFAULT 2) RETURNS integer LANGUAGE sql\n"
        "AS $$ SELECT a + b $$;\n"
        "CREATE PROCEDURE clear(IN x int) AS BEGIN END;\n"
    )
    assert units(source, GRAMMAR) == [
        SeenUnit("function", "app.add", "(a int, OUT b integer DEFAULT 2)", "integer"),
        SeenUnit("function", "clear", "(IN x int)"),
    ]


def test_functions_return_types_sets_tables_and_triggers() -> None:
    source = (
        "CREATE FUNCTION a() RETURNS SETOF app.users AS 'x' LANGUAGE sql;\n"
        "CREATE FUNCTION b() RETURNS TABLE (id int, name text) AS $$ SELECT 1, 'x' $$ LANGUAGE sql;\n"
        "CREATE FUNCTION c() RETURNS text STRICT AS 'lower' LANGUAGE sql;\n"
        "CREATE FUNCTION d() RETURNS trigger AS 'x' LANGUAGE sql;\n"
    )
    assert [unit.returns for unit in units(source, GRAMMAR)] == [
        "app.users",
        "(id int, name text)",
        "text",
        "trigger",
    ]


def test_comments_of_both_kinds_document_the_function_below() -> None:
    source = (
        "/* Adds. */\n-- Twice.\nCREATE FUNCTION f() RETURNS int AS 'x';\n\n"
        "-- far away\n\nCREATE FUNCTION g() RETURNS int AS 'y';\n"
    )
    assert [unit.doc for unit in units(source, GRAMMAR)] == ["/* Adds. */\n-- Twice.", None]


def test_what_recovery_takes_for_a_function_is_no_unit() -> None:
    source = (
        b"CREATE OPERATOR < (\n  PROCEDURE = before\n);\nCREATE OPERATOR > (PROCEDURE = after) AS $$ SELECT 1 $$;\n"
    )
    assert not parse_source(source, GRAMMAR).units


def test_tables_types_and_views_are_declarations_of_types() -> None:
    source = (
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL);\n"
        "CREATE TYPE pair AS (a int, b app.money);\n"
        "CREATE VIEW v AS SELECT 1;\n"
    )
    assert_concepts(
        source,
        GRAMMAR,
        {
            "declaration.type": [line.removesuffix(";") for line in source.splitlines()],
            "declaration.variable": ["id int PRIMARY KEY", "name text NOT NULL", "a int", "b app.money"],
            "type.reference": ["int", "text", "int", "app.money"],
            "query.statement": ["SELECT 1"],
        },
    )


def test_a_type_of_named_values_is_an_enumeration() -> None:
    assert_concepts(
        "CREATE TYPE mood AS ENUM ('sad', 'ok');",
        GRAMMAR,
        {"declaration.enum": ["CREATE TYPE mood AS ENUM ('sad', 'ok')"], "declaration.enum_member": ["'sad'", "'ok'"]},
    )


def test_a_query_is_one_statement_of_clauses() -> None:
    source = "SELECT a FROM t JOIN u ON t.x = u.x WHERE b > 1 GROUP BY a ORDER BY a LIMIT 2"
    assert_concepts(
        source,
        GRAMMAR,
        {
            "query.statement": [source],
            "query.clause": [
                "SELECT a",
                source.removeprefix("SELECT a "),
                "JOIN u ON t.x = u.x",
                "WHERE b > 1",
                "GROUP BY a",
                "ORDER BY a",
                "LIMIT 2",
            ],
            "expression.member": ["t.x", "u.x"],
            "expression.binary": ["t.x = u.x", "b > 1"],
        },
    )


def test_each_statement_counts_once_however_the_grammar_wraps_it() -> None:
    source = (
        "INSERT INTO t (a) VALUES (1);\nUPDATE t SET a = 2;\nDELETE FROM t;\nDROP TABLE t;\n"
        "ALTER TABLE t ADD COLUMN c int;\nWITH x AS (SELECT 1) SELECT 2;\nSELECT (SELECT 3);\n"
    )
    lines = [line.removesuffix(";") for line in source.splitlines()]
    expected = [*lines[:6], "SELECT 1", lines[6], "(SELECT 3)"]
    assert_concepts(source, GRAMMAR, {"query.statement": expected})


def test_columns_of_an_insert_are_no_collection_but_its_rows_are() -> None:
    assert_concepts(
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL)",
        GRAMMAR,
        {"expression.collection": ["(1, 'x')", "(2, NULL)"], "expression.literal": ["1", "'x'", "2", "NULL"]},
    )


def test_expressions_have_their_concepts() -> None:
    assert_concepts(
        "SELECT count(DISTINCT a), s.f(1), CAST(a AS date), b::int, c[1], CASE WHEN NOT d THEN 1 ELSE 2 END",
        GRAMMAR,
        {
            "expression.call": ["count(DISTINCT a)", "s.f(1)"],
            "expression.argument": ["a", "1"],
            "expression.cast": ["CAST(a AS date)", "b::int"],
            "expression.index": ["c[1]"],
            "expression.conditional": ["CASE WHEN NOT d THEN 1 ELSE 2 END"],
            "expression.unary": ["NOT d"],
            "expression.member": ["s.f"],
            "type.reference": ["date", "int"],
        },
    )
