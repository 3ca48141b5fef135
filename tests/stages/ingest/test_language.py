from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.stage import configured
from stages.ingest.language import READS, STAGE, LanguageConfig, _model
from stages.ingest.languages import EXTENSIONS, FILE_NAMES, MAGIKA_LABELS
from tests.contract import check_stage
from tests.golden import digest

CODE = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "code"

PYTHON = "import os\n\n\ndef main(path):\n    for name in os.listdir(path):\n        print(name)\n" * 3

CASES: list[tuple[str, str | None, str | None, str | None, str | None]] = [
    # path, member, language of the source, text, expected
    ("a/b.py", None, None, "x", "Python"),
    ("a/b.PY", None, None, "x", "Python"),
    ("a.tar", "src/main.rs", None, "x", "Rust"),
    ("rows.jsonl", "17", None, "x", None),
    ("rows.jsonl", None, None, "{}", "JSON"),
    ("src/Makefile", None, None, "x", "Makefile"),
    ("LICENSE", None, None, "x", "Text"),
    ("p.dist-info/RECORD", None, None, "x", "CSV"),
    ("p/py.typed", None, None, "", "Python"),
    ("views/a.blade.php", None, None, "x", "Blade"),
    ("a.py.gz", None, None, "x", "Python"),
    ("a.py", None, "c_sharp", "x", "C#"),
    ("a", None, "C-Sharp", "x", "C#"),
    ("a", None, "cpp", "x", "C++"),
    ("a", None, "jupyter-notebook", "x", "Jupyter Notebook"),
    ("a", None, "PYTHON", "x", "Python"),
    ("a", None, "Klingon", "x", "Klingon"),
    ("a.h", None, None, "#ifndef A_H\nint f(int a);\n#endif\n", "C"),
    ("a.h", None, None, "namespace a {\nclass B;\n}\n", "C++"),
    ("a.h", None, None, "#import <X/X.h>\n@interface A : NSObject\n@end\n", "Objective-C"),
    ("a.h", None, None, None, "C"),
    ("a.m", None, None, "function y = f(x)\n  y = x;\nend\n", "MATLAB"),
    ("a.m", None, None, "@implementation A\n@end\n", "Objective-C"),
    ("a.pl", None, None, "use strict;\nmy $x = 1;\n", "Perl"),
    ("a.pl", None, None, "parent(X, Y) :- child(Y, X).\n", "Prolog"),
    ("a.ts", None, None, '<?xml version="1.0"?>\n<TS/>', "XML"),
    ("a.ts", None, None, "const a: number = 1;", "TypeScript"),
    ("a.v", None, None, "module top(input a);\nendmodule\n", "Verilog"),
    ("a.v", None, None, "Require Import Arith.\nLemma a : True.\n", "Rocq Prover"),
    ("a.sql", None, None, "SELECT 1;", "SQL"),
    ("a.inc", None, None, "<?php echo 1;", "PHP"),
    ("run", None, None, "#!/usr/bin/env -S python3 -u\nprint(1)", "Python"),
    ("run", None, None, "#! /bin/bash -e\ntrue", "Shell"),
    ("unknown", None, None, PYTHON, "Python"),
    ("unknown", None, None, "?", None),
    ("unknown", None, None, None, None),
]


def rows(cases: list[tuple[str, str | None, str | None, str | None, str | None]]) -> pa.Table:
    names = ("path", "member", "language", "text")
    return pa.table({name: [case[index] for case in cases] for index, name in enumerate(names)}, schema=READS)


def test_language_keeps_the_laws() -> None:
    out = check_stage(configured(STAGE, LanguageConfig()), rows(CASES))
    assert digest(out) == "8bcb0e81b3e911156f91515c91a2845f03d5ed823b1e89662007af62eaaf8228"


def test_language_of_known_documents() -> None:
    out = configured(STAGE, LanguageConfig()).open()(rows(CASES))["language"].to_pylist()
    assert dict(zip(map(str, CASES), out, strict=True)) == {str(case): case[4] for case in CASES}


def test_language_without_magika_leaves_unknown_documents_null() -> None:
    out = configured(STAGE, LanguageConfig(magika=False)).open()(rows([("unknown", None, None, PYTHON, None)]))
    assert out["language"].to_pylist() == [None]


def test_language_tables_are_broad_and_name_each_key_once() -> None:
    assert len(EXTENSIONS) >= 150
    assert len(FILE_NAMES) >= 60
    assert all(key.startswith(".") and len(key) > 1 for key in EXTENSIONS)
    assert all(key == key.lower() for key in EXTENSIONS if key not in {".C", ".H"})


def test_language_magika_runs_on_one_thread_and_its_labels_exist() -> None:
    model = _model()
    options = model._onnx_session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert MAGIKA_LABELS.keys() <= set(map(str, model.get_output_content_types()))


def test_language_config_rejects_zero_chars() -> None:
    with pytest.raises(ValueError, match="min_text_chars must be at least 1, got 0"):
        LanguageConfig(min_text_chars=0)


@pytest.mark.skipif(not CODE.is_dir(), reason="the shared corpora are not here")
def test_language_agrees_with_labelled_code() -> None:
    agreed = total = 0
    for name in ("c", "cpp", "ruby", "scala"):
        table = pq.read_table(CODE / f"{name}.parquet", columns=["path", "language", "content"]).slice(0, 1500)
        nulls = pa.nulls(table.num_rows, pa.string())
        path, text = (table[column].cast(pa.string()) for column in ("path", "content"))
        given = pa.table({"path": path, "member": nulls, "language": nulls, "text": text}, schema=READS)
        out = configured(STAGE, LanguageConfig()).open()(given)["language"]
        agreed += pc.sum(pc.equal(out, table["language"].cast(pa.string()))).as_py()
        total += table.num_rows
    assert agreed / total > 0.95


def test_language_magika_is_asked_about_records_only_on_demand() -> None:
    table = rows([("data.jsonl", "7", None, PYTHON, None), ("unknown", None, None, PYTHON, None)])
    assert configured(STAGE, LanguageConfig()).open()(table)["language"].to_pylist() == [None, "Python"]
    assert configured(STAGE, LanguageConfig(records=True)).open()(table)["language"].to_pylist() == ["Python"] * 2
