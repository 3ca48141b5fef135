"""Rows for exports: random, the same for a seed, in batches of any size."""

from collections.abc import Iterator

import numpy as np

from jobs.export.layout import Format, Rows, Unit
from jobs.export.ragged import Ragged

DOMAIN = "python"


def make_rows(rows: int, row_tokens: int, seed: int, highest: int = 65_535) -> dict[str, Ragged]:
    """All columns; `row_tokens` = 0 gives rows of 1 to about 70,000 tokens, most of them short."""
    rng = np.random.default_rng(seed)
    lengths = (
        np.full(rows, row_tokens) if row_tokens else rng.integers(1, 70_000 // (1 + rng.integers(0, 2_000, rows)), rows)
    )
    pieces = rng.integers(1, 5, rows) if row_tokens else np.ones(rows, np.int64)

    def column(lengths: np.ndarray, highest: int, dtype: str) -> Ragged:
        values = rng.integers(0, highest + 1, lengths.sum()).astype(dtype)
        return Ragged(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)

    return {
        "tokens": column(lengths, highest, "int32"),
        "document_id": column(16 * pieces, 255, "uint8"),
        "document_start": column(pieces, 2_047, "int32"),
        "document_offset": column(pieces, 1 << 30, "int32"),
        "cu_seqlens": column(pieces + 1, 2_048, "int32"),
        "loss_mask": column(lengths, 1, "uint8"),
    }


def units_of(rows: list[int], domain: str = DOMAIN) -> list[Unit]:
    """One published file for each number of rows."""
    return [
        Unit(number=n, domain=domain, source=f"data/{domain}/part-{n:05d}.parquet", rows=count)
        for n, count in enumerate(rows)
    ]


def batches_of(unit: Unit, row_tokens: int, step: int, highest: int = 65_535) -> Iterator[Rows]:
    """The rows of a unit, `step` at a time."""
    rows = make_rows(unit.rows, row_tokens, seed=unit.number, highest=highest)
    for start in range(0, unit.rows, step):
        yield {name: column.rows(start, min(unit.rows, start + step)) for name, column in rows.items()}


def domain_folder(fmt: Format) -> str:
    """Where the files of the domain are in an export."""
    return fmt.folder.format(domain=DOMAIN)
