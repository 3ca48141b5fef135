import pyarrow as pa
import pytest

from pipeline.stage import configured
from schemas.ast import UNITS
from stages.embed.unit_text import STAGE, UnitTextConfig
from tests.contract import check_stage

TEXT = 'def größe(x):\n    """Wie groß."""\n    return x\n\n\ndef f(): pass\n'


def unit(**given: object) -> dict[str, object]:
    empty = {field.name: None for field in UNITS.field("units").type.value_type}
    needed = {"kind": "function", "node": 0, "start": 0, "end": 1, "is_async": False, "is_test": False}
    return empty | needed | given


def place(part: str, text: str) -> tuple[int, int]:
    start = TEXT.encode().index(text.encode())
    return start, start + len(text.encode())


def table() -> pa.Table:
    name, doc, other = place("name", "größe"), place("doc", '"""Wie groß."""'), place("name", "f()")
    units = [
        unit(name_start=name[0], name_end=name[1], doc_start=doc[0], doc_end=doc[1]),
        unit(kind="import"),
        unit(name_start=other[0], name_end=other[0] + 1),
    ]
    rows = {"text": [TEXT, "x = 1\n", "no grammar", None, TEXT], "units": [units, [], None, None, units[:1]]}
    return pa.table(rows, schema=pa.schema([pa.field("text", pa.string()), UNITS.field("units")]))


def test_names_and_documentation_are_taken() -> None:
    out = check_stage(configured(STAGE, UnitTextConfig()), table())
    first = 'größe """Wie groß."""\n'
    assert out["unit_text"].to_pylist() == [f"{first}f ", "", None, None, first]


@pytest.mark.parametrize("limit", range(1, 30))
def test_what_is_too_long_is_cut_before_a_character(limit: int) -> None:
    out = configured(STAGE, UnitTextConfig(max_bytes=limit)).open()(table())
    out.validate(full=True)
    for text in out["unit_text"].drop_null().to_pylist():
        assert len(text.encode()) <= limit
    short = configured(STAGE, UnitTextConfig(max_doc_bytes=limit)).open()(table())["unit_text"][4].as_py()
    assert len(short.removeprefix("größe ").removesuffix("\n").encode()) <= limit


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="max_bytes must be at least 1"):
        UnitTextConfig(max_bytes=0)
