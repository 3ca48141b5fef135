"""Samples in files: the same bytes as a plain loop with `struct` makes, whatever the batches; and read back."""

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.export.framed import FrameWriter, Framing, cells, gather, joined, numbers, read_frame, uint32_at
from jobs.export.layout import Part
from jobs.export.mds import _shape
from jobs.export.ragged import Ragged


def as_cells(samples: list[bytes]) -> object:
    lengths = [len(sample) for sample in samples]
    values = np.frombuffer(b"".join(samples), np.uint8)
    return cells(Ragged(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values))


def slow_files(samples: list[bytes], limit: int, text: bytes, per_file: int, per_sample: int) -> list[bytes]:
    """One sample after the other, as the libraries' writers do it."""
    groups: list[list[bytes]] = []
    size = 0
    for sample in samples:
        if not groups or size + len(sample) + per_sample > limit:
            groups.append([])
            size = per_file
        groups[-1].append(sample)
        size += len(sample) + per_sample
    files = []
    for group in groups:
        at = 4 + 4 * (len(group) + 1) + len(text)
        offsets = [at, *(at := at + len(sample) for sample in group)]
        files.append(struct.pack(f"<{len(group) + 2}I", len(group), *offsets) + text + b"".join(group))
    return files


@given(
    samples=st.lists(st.binary(max_size=40), max_size=30),
    limit=st.integers(20, 120),
    text=st.sampled_from([b"", b"{}"]),
    per_sample=st.sampled_from([0, 4]),
    cuts=st.lists(st.integers(0, 30), max_size=5),
)
def test_files_are_those_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory,
    samples: list[bytes],
    limit: int,
    text: bytes,
    per_sample: int,
    cuts: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    framing = Framing(limit=limit, text=text, counted_per_file=8 + len(text), counted_per_sample=per_sample)
    writer = FrameWriter(root=folder, pattern="a/{}.bin", framing=framing)
    borders = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    for start, stop in pairwise(borders):
        own = samples[start:stop]
        writer.write(as_cells(own), np.array([len(sample) for sample in own], np.int64))
    parts = writer.close()
    expected = slow_files(samples, limit, text, 8 + len(text), per_sample)
    assert [(folder / part.file).read_bytes() for part in parts] == expected
    read: list[bytes] = []
    for part in parts:
        frame = read_frame(folder / part.file, part)
        assert frame.text == text
        found = gather(frame, frame.starts, frame.ends - frame.starts, "uint8")
        read += [found.values[a:b].tobytes() for a, b in pairwise(found.offsets.tolist())]
        assert part.tokens == len(found.values)
    assert read == samples


def test_parts_of_a_row_are_laid_end_to_end() -> None:
    rows = joined([numbers(np.array([1, 258])), as_cells([b"ab", b""]), as_cells([b"", b"xyz"])])
    assert rows.to_pylist() == [b"\x01\0\0\0ab", b"\x02\x01\0\0xyz"]
    assert cells(Ragged(np.array([0, 1, 3]), np.array([1, 2, 3], np.int32))).to_pylist() == [
        b"\x01\0\0\0",
        b"\x02\0\0\0\x03\0\0\0",
    ]


def test_lengths_of_arrays_take_one_two_or_four_bytes() -> None:
    heads = cells(_shape(np.array([1, 255, 256, 65_535, 65_536]))).to_pylist()
    assert heads == [b"\x04\x01", b"\x04\xff", b"\x05\0\x01", b"\x05\xff\xff", b"\x06\0\0\x01\0"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "bytes and 2 rows, expected"),
        (lambda data: b"\x03" + data[1:], "and 3 rows, expected"),
        (lambda data: data[:8] + b"\x01" + data[9:], "table of offsets"),
        (lambda data: data[:12] + b"\xff" + data[13:], "table of offsets"),
        (lambda data: b"", "empty"),
    ],
)
def test_a_changed_table_is_noticed(tmp_path: Path, change: object, said: str) -> None:
    writer = FrameWriter(root=tmp_path, pattern="{}.bin", framing=Framing(limit=1000))
    writer.write(as_cells([b"abc", b"defg"]), np.array([3, 4]))
    (part,) = writer.close()
    data = (tmp_path / part.file).read_bytes()
    (tmp_path / part.file).write_bytes(change(data))  # type: ignore[operator]
    with pytest.raises(ValueError, match=said):
        read_frame(tmp_path / part.file, part)


def test_a_value_outside_of_its_sample_is_noticed(tmp_path: Path) -> None:
    writer = FrameWriter(root=tmp_path, pattern="{}.bin", framing=Framing(limit=1000))
    writer.write(as_cells([b"\x05\0\0\0defg"]), np.array([3]))
    (part,) = writer.close()
    frame = read_frame(tmp_path / part.file, Part(file=part.file, bytes=part.bytes, rows=1, tokens=0))
    assert uint32_at(frame, frame.starts).tolist() == [5]
    with pytest.raises(ValueError, match="ends outside"):
        gather(frame, frame.starts + 4, uint32_at(frame, frame.starts), "uint8")
    with pytest.raises(ValueError, match="ends outside"):
        gather(frame, frame.starts, np.array([3]), "int32")
