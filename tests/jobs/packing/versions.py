"""Versions of a few documents, written file by file."""

import hashlib
from pathlib import Path

import pyarrow as pa

from jobs.packing.methods import pack_rows
from jobs.packing.packings import PackingConfig, packing_of
from pipeline import catalog
from pipeline.parquet import parquet_bytes
from schemas.corpus import DATA
from schemas.manifest import FileEntry, Manifest, Record

PADDING = 99
Domains = dict[str, list[list[int]]]


def data_of(documents: list[list[int]], domain: str) -> pa.Table:
    values = {
        "document_id": [
            hashlib.blake2b(f"{domain}{n}".encode(), digest_size=16).digest() for n in range(len(documents))
        ],
        "tokens": documents,
        "num_tokens": [len(d) for d in documents],
        "group": list(range(len(documents))),
    }
    return pa.table(values, schema=DATA)


def write_table(folder: Path, path: str, table: pa.Table, rows_per_group: int = 3) -> Record:
    data = bytes(parquet_bytes(table, rows_per_group=rows_per_group))
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    lists = [len(row) for row in table[1].to_pylist()]
    tokens = sum(table["num_tokens"].to_pylist())
    return Record(
        key=path,
        step="step",
        file=path,
        sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
        rows=table.num_rows,
        base=path,
        exact=True,
        libraries={},
        counters={"tokens": tokens, "pieces": sum(lists)},
    )


def write_version(folder: Path, domains: Domains, *configs: PackingConfig) -> Manifest:
    """A version's folder with these packings."""
    paths = {domain: f"data/{domain}/part-00000.parquet" for domain in domains}
    data = {domain: data_of(documents, domain) for domain, documents in domains.items()}
    files, packings = [], []
    for domain, path in paths.items():
        made = write_table(folder, path, data[domain])
        common = {name: getattr(made, name) for name in ("key", "sha256", "file_bytes", "rows")}
        files.append(FileEntry(path=path, tokens=made.counters["tokens"], **common))
    for config in configs:
        records = []
        for number, (domain, path) in enumerate(paths.items()):
            sizes = (data[domain][name].to_numpy() for name in ("num_tokens", "group"))
            index = pack_rows(*sizes, method=config.method, sequence_length=config.sequence_length, key=number)
            records.append(write_table(folder, path.replace("data", f"packings/{config.name}"), index))
        packings.append(packing_of(config.name, config, PADDING, list(paths.values()), records))
        (folder / f"packings/{config.name}/packing.json").write_bytes(catalog.packing_bytes(packings[-1]))
    manifest = Manifest(
        name="mill",
        version="1",
        identity="x",
        recipe="tiny",
        parameters={},
        vocabulary="cl100k_base",
        end_of_document=PADDING,
        documents=sum(file.rows for file in files),
        tokens=sum(file.tokens for file in files),
        domains={},
        languages={},
        licenses={},
        files=files,
        packings=packings,
        sources=[],
        funnel=[],
        steps=[],
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return manifest
