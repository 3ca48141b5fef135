"""`gristmill export`: a published version in the format of another library's loader."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from jobs.card import human_bytes
from jobs.export import litdata_chunks, mds, megatron, plain
from jobs.export.layout import Format, Layout, Unit
from jobs.export.ragged import COLUMNS
from jobs.export.reading import DOCUMENT_COLUMNS, Contents
from jobs.export.transfer import Identity, transfer, verify
from jobs.looking import existing_storage, print_json, standard_output
from jobs.packing.provenance import token_bytes
from jobs.packing.sequences import Version, open_version
from pipeline.errors import NotFoundError, RecipeError
from schemas.manifest import Manifest

FORMATS: dict[str, Format] = {fmt.FORMAT.name: fmt.FORMAT for fmt in (megatron, mds, litdata_chunks, plain)}

_FEWEST_IDS_OF_INT32 = 65_500
_REPORT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """What is exported, and how."""

    format: str
    """Key of `FORMATS`."""
    packing: str = ""
    """Whose sequences; empty exports documents, one per row."""
    domains: tuple[str, ...] = ()
    """Empty: all."""
    columns: tuple[str, ...] = ()
    """Empty: those of the format."""
    part_bytes: int = 1 << 26
    """Size at which `mds` and `litdata` cut a file."""
    files_per_part: int = 1
    """Files of equal size for each published file, for `datasets`."""
    id_type: str = ""
    """Of Megatron's tokens: `int32` or `uint16`; empty chooses by the vocabulary."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format = {self.format!r}: expected one of {', '.join(FORMATS)}")
        known = tuple(COLUMNS) if self.packing else DOCUMENT_COLUMNS
        if unknown := [name for name in self.columns if name not in known]:
            raise ValueError(f"column {unknown[0]!r}: there are {', '.join(known)}; the others need a packing")
        if self.format == "megatron" and self.columns not in ((), ("tokens",)):
            raise ValueError(f"columns = {self.columns}: Megatron's format holds tokens only")
        if self.id_type and self.format != "megatron":
            raise ValueError(f"id_type = {self.id_type!r} is of the format megatron, not {self.format}")
        if self.files_per_part != 1 and self.format != "datasets":
            raise ValueError(f"files_per_part = {self.files_per_part} is of the format datasets, not {self.format}")

    @property
    def fmt(self) -> Format:
        """The format's functions."""
        return FORMATS[self.format]

    def contents(self, version: Version) -> Contents:
        """What is exported of this version. Raises NotFoundError for a packing or domain that it has not."""
        packing = version.packing(self.packing) if self.packing else None
        if unknown := sorted(set(self.domains) - set(version.domains)):
            raise NotFoundError(f"{version.name} has no domain {unknown[0]!r}; it has: {', '.join(version.domains)}")
        return Contents(version=version, packing=packing, domains=self.domains)

    def layout(self, contents: Contents) -> Layout:
        """How it is written. Raises ValueError for ids that do not fit."""
        if self.id_type == "uint16":
            _check_ids(contents)
        default = (
            self.fmt.columns if contents.packing else DOCUMENT_COLUMNS if self.format == "datasets" else ("tokens",)
        )
        return Layout(
            columns=self.columns or default,
            row_tokens=contents.row_tokens,
            id_type=self.id_type or (_id_type(contents.version.manifest) if self.format == "megatron" else "int32"),
            part_bytes=self.part_bytes,
            files_per_part=self.files_per_part,
        )


def _id_type(manifest: Manifest) -> str:
    """Megatron's own rule: uint16 where there are fewer than 65,500 ids. Else, or where that is unknown, int32."""
    if manifest.end_of_document >= _FEWEST_IDS_OF_INT32:
        return "int32"
    known = token_bytes(manifest)
    return "uint16" if known is not None and len(known) < _FEWEST_IDS_OF_INT32 else "int32"


def _check_ids(contents: Contents) -> None:
    """Raise ValueError where the vocabulary or what is put between texts has ids that two bytes do not hold."""
    manifest = contents.version.manifest
    known = token_bytes(manifest)
    padding = contents.packing.padding if contents.packing else 0
    highest = max(manifest.end_of_document, padding, len(known) - 1 if known is not None else 0)
    if highest >= 1 << 16:
        raise ValueError(
            f"id_type = 'uint16': tokens of {manifest.vocabulary} have ids up to {highest}, which do not fit uint16; "
            "use int32"
        )


def export(
    version: Version, to: Path, config: ExportConfig, say: Callable[[int, int], None] = lambda *_: None
) -> tuple[list[Unit], int]:
    """The parts of the export by published file, and how many of those files were done before.

    Raises NotFoundError for a packing or domain that the version has not, PublishError if the folder holds something
    else, SiteError if it cannot be written.
    """
    contents = config.contents(version)
    layout = config.layout(contents)
    return transfer(
        config.fmt,
        layout,
        contents.units(),
        lambda unit: contents.batches(unit, layout.columns),
        to,
        _identity(contents, layout, config),
        say,
    )


def check_export(version: Version, to: Path, config: ExportConfig) -> None:
    """Read an export again and compare counts and digests. Raises CorruptShardError where they differ."""
    verify(config.fmt, config.layout(config.contents(version)), to)


def _identity(contents: Contents, layout: Layout, config: ExportConfig) -> Identity:
    manifest = contents.version.manifest
    return {
        "corpus": contents.version.name,
        "corpus_identity": manifest.identity,
        "vocabulary": manifest.vocabulary,
        "end_of_document": manifest.end_of_document,
        "packing": contents.packing.model_dump(exclude={"files"}) if contents.packing else None,
        "format": config.format,
        "domains": list(config.domains),
        "layout": asdict(layout),
    }


def export_version(
    *,
    corpus: str,
    fmt: str,
    packing: str,
    to: Path,
    domain: tuple[str, ...],
    column: tuple[str, ...],
    part_bytes: int | None,
    files_per_part: int | None,
    id_type: str | None,
    check: bool,
    site: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """`gristmill export`: progress on standard error, a summary on standard output."""
    given: dict[str, Any] = {"part_bytes": part_bytes, "files_per_part": files_per_part, "id_type": id_type}
    try:
        config = ExportConfig(
            format=fmt,
            packing=packing,
            domains=tuple(sorted(set(domain))),
            columns=column,
            **{name: value for name, value in given.items() if value is not None},
        )
        version = open_version(existing_storage(site, store), corpus)
        config.layout(config.contents(version))
    except ValueError as error:
        raise RecipeError(str(error)) from error
    units, kept = export(version, to, config, _report())
    if check:
        check_export(version, to, config)
    _print(version.name, config, to, units, kept, check=check, as_json=as_json)


def _print(
    name: str, config: ExportConfig, to: Path, units: list[Unit], kept: int, *, check: bool, as_json: bool
) -> None:
    rows = [_totals(domain, units) for domain in dict.fromkeys(unit.domain for unit in units)]
    if as_json:
        value = {"corpus": name, "format": config.format, "packing": config.packing or None, "path": str(to)}
        print_json(
            {
                **value,
                "kept": kept,
                "written": len(units) - kept,
                "verified": check,
                "domains": [asdict(r) for r in rows],
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    for head in ("domain", "rows", "tokens", "files", "size"):
        table.add_column(head, justify="left" if head == "domain" else "right")
    for row in rows:
        table.add_row(row.domain, f"{row.rows:,}", f"{row.tokens:,}", f"{row.files:,}", human_bytes(row.bytes))
    console = standard_output()
    console.print(table)
    said = f"{name} as {config.format}: {to}" + (", verified" if check else "")
    console.print(said, highlight=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Totals:
    """What there is of one domain."""

    domain: str
    rows: int
    tokens: int
    files: int
    bytes: int


def _totals(domain: str, units: list[Unit]) -> _Totals:
    own = [unit for unit in units if unit.domain == domain]
    return _Totals(
        domain=domain,
        rows=sum(unit.rows for unit in own),
        tokens=sum(unit.tokens for unit in own),
        files=len({part.file for unit in own for part in unit.parts}),
        bytes=sum(part.bytes for unit in own for part in unit.parts),
    )


def _report() -> Callable[[int, int], None]:
    """Says every few seconds how many files of the version are done."""
    started = last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_SECONDS:
            last = now
            left = (now - started) / done * (total - done)
            click.echo(f"exported {done:,} of {total:,} files, {left:,.0f} s left", err=True)

    return say
