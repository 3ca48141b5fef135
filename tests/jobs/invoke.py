"""The command in this process, and what it leaves in a store."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import tiktoken
from click.testing import CliRunner

from jobs.cli import main
from jobs.inspection import step
from pipeline import catalog
from pipeline.site_file import StoreSite
from pipeline.storage import open_storage
from pipeline.store import Shard, Store
from schemas.manifest import Manifest
from stages.tokenization.vocabulary import SPLITS, load_vocabulary
from tests.machine import Ended


def invoke(*arguments: object) -> Ended:
    """Run the command in this process. An exception that the command does not expect is raised here."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="gristmill")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def run_tiny(store: Path, *sources: object, **parameters: object) -> Manifest:
    """The manifest of `gristmill run tiny --local` over the sources."""
    line: list[object] = ["run", "tiny", "--local", "--json", "--store", store]
    for source in sources:
        line += ["--source", source]
    for name, value in parameters.items():
        line += ["--" + name.replace("_", "-"), value]
    ended = invoke(*line)
    assert ended.code == 0, ended.err
    return Manifest.model_validate(ended.json["manifest"])


def corpus_folder(store: Path, manifest: Manifest) -> Path:
    """Where a version's files lie."""
    return store / catalog.folder(manifest)


def documents_of(store: Path, manifest: Manifest) -> pa.Table:
    """The base table and all sidecars of a version, side by side."""
    opened = Store(open_storage(StoreSite(path=str(store))))
    merged: pa.Table | None = None
    for entry in manifest.steps:
        if entry.role not in ("documents", "sidecar"):
            continue
        shards = [opened.read(Shard(step=entry.folder, key=key, base=key)) for key in entry.keys]
        table = pa.concat_tables(shards)
        if merged is None:
            merged = table
            continue
        assert table.num_rows == merged.num_rows, entry.name
        for name in table.column_names:
            merged = merged.append_column(name, table[name])
    assert merged is not None
    return merged


def check_nothing_lost(store: Path, manifest: Manifest) -> dict[str, str | None]:
    """Check that the funnel adds up and every dropped document has a reason; gives the problem of every path."""
    table = documents_of(store, manifest)
    funnel = {entry.step: entry for entry in manifest.funnel}
    for name in ("documents", "duplicates"):
        entry = funnel[name]
        assert entry.rows_in == table.num_rows
        assert entry.rows_in == entry.rows_out + sum(entry.reasons.values()), entry
    assert funnel["documents"].reasons == counts(table["problem"].drop_null())
    assert funnel["select"].reasons == counts(pc.list_flatten(table["reasons"]))
    kept = pc.sum(table["keep"]).as_py() or 0
    assert funnel["select"].rows_out == funnel["placement"].rows_out == manifest.documents == kept
    has_reason = pc.greater(pc.list_value_length(table["reasons"]), 0)
    assert pc.all(pc.xor(table["keep"], has_reason)).as_py() is not False
    assert pc.all(pc.xor(pc.is_valid(table["problem"]), pc.is_valid(table["text"]))).as_py() is not False
    assert step(manifest, "documents").keys
    names = pc.binary_join_element_wise(table["path"], table["member"], "!", null_handling="skip")
    return dict(zip(names.to_pylist(), table["problem"].to_pylist(), strict=True))


def counts(values: pa.ChunkedArray) -> Mapping[str, int]:
    """How often each value occurs."""
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(values).to_pylist()}


def encoding() -> tiktoken.Encoding:
    """tiktoken's own program with the ranks of `cl100k_base`."""
    vocabulary = load_vocabulary("cl100k_base")
    return tiktoken.Encoding(
        name=vocabulary.name,
        pat_str=SPLITS[vocabulary.split],
        mergeable_ranks=vocabulary.ranks(),
        special_tokens=dict(vocabulary.special_tokens),
    )
