"""Rows of a published version, file by file: the sequences of a packing, or the documents themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from jobs.export.layout import Rows, Unit
from jobs.export.ragged import ragged
from jobs.packing.sequences import Version
from schemas.manifest import Packing, PackingFile

DOCUMENT_COLUMNS = ("tokens", "document_id")
"""What there is where no packing is named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What is exported of a version."""

    version: Version
    packing: Packing | None
    """None: one row per document."""
    domains: tuple[str, ...] = ()
    """Empty: all."""
    batch_tokens: int = 1 << 20
    """Tokens of a batch of sequences, about."""

    @property
    def row_tokens(self) -> int:
        """Tokens of every row; 0 where rows differ."""
        return self.packing.sequence_length if self.packing else 0

    def units(self) -> list[Unit]:
        """Published files in order, numbered within their domain."""
        rows = {path: index.rows for path, index in self._indexes().items()}
        if not self.packing:
            rows = {file.path: file.rows for file in self.version.manifest.files}
        counts: dict[str, int] = {}
        units = []
        for path, count in rows.items():
            domain = path.split("/")[1]
            if self.domains and domain not in self.domains:
                continue
            number = counts[domain] = counts.get(domain, -1) + 1
            units.append(Unit(number=number, domain=domain, source=path, rows=count))
        return units

    def batches(self, unit: Unit, columns: Sequence[str]) -> Iterator[Rows]:
        """The rows of one file. Memory: one published file where there is a packing, else one row group."""
        for table in self._sequences(unit) if self.packing else self._documents(unit):
            yield {name: ragged(table, name) for name in columns}

    def _indexes(self) -> dict[str, PackingFile]:
        return {index.data: index for index in self.packing.files} if self.packing else {}

    def _sequences(self, unit: Unit) -> Iterator[pa.Table]:
        assert self.packing is not None
        index = self._indexes()[unit.source]
        rows = max(1, self.batch_tokens // max(1, self.row_tokens or index.tokens // max(1, index.rows)))
        yield from self.version.file_sequences(self.packing, index, batch_rows=rows)

    def _documents(self, unit: Unit) -> Iterator[pa.Table]:
        with self.version.open(unit.source) as parquet:
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group, columns=list(DOCUMENT_COLUMNS), use_threads=False)
