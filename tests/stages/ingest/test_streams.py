import bz2
import gzip
import io
import lzma
import random
import zlib

import pytest
import zstandard

from stages.ingest.raw import Limits
from stages.ingest.streams import BLOCK_BYTES, DamagedError, Stream, sniff_codec

TEXT = b"".join(b"%d green bottles\n" % random.Random(7).getrandbits(64) for _ in range(20)) + bytes(
    random.Random(1).choices(b"abcdefgh \n", k=400_000)
)
PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard.compress}


def opened(data: bytes, codec: str, **limits: int) -> Stream:
    return Stream(io.BytesIO(data).read, codec, Limits(**limits))


def drain(stream: Stream) -> bytes:
    return b"".join(iter(lambda: bytes(stream.block()), b""))


def served(stream: Stream, step: int) -> tuple[int, str | None]:
    """Bytes served before the damage, read `step` at a time, and the damage."""
    try:
        while stream.read(step):
            pass
    except DamagedError as error:
        with pytest.raises(DamagedError, match=error.problem):
            stream.read(1)
        return stream.position, error.problem
    return stream.position, None


@pytest.mark.parametrize("codec", PACKERS)
def test_gives_back_what_was_packed(codec: str) -> None:
    packed = PACKERS[codec](TEXT)
    assert sniff_codec(packed[:8]) == codec
    assert drain(opened(packed, codec)) == TEXT


@pytest.mark.parametrize("codec", PACKERS)
def test_reads_streams_that_follow_each_other_and_zero_padding(codec: str) -> None:
    packed = PACKERS[codec](TEXT) + PACKERS[codec](b"second") + bytes(512)
    assert drain(opened(packed, codec)) == TEXT + b"second"


@pytest.mark.parametrize("codec", PACKERS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_stream_that_ends_early_is_truncated_at_the_same_byte_for_any_reader(codec: str, kept: float) -> None:
    packed = PACKERS[codec](TEXT)
    cut = packed[: int(len(packed) * kept)]
    ends = {served(opened(cut, codec), step) for step in (1000, 77_777, BLOCK_BYTES)}
    assert {problem for _, problem in ends} == {"truncated"}
    position = max(position for position, _ in ends)
    stream = opened(cut, codec)
    assert stream.skip(position) == position
    assert TEXT.startswith(opened(cut, codec).read(position))


@pytest.mark.parametrize("codec", PACKERS)
def test_garbage_after_a_stream_is_corrupt(codec: str) -> None:
    stream = opened(PACKERS[codec](b"text") + b"garbage that is no stream", codec)
    assert stream.read(4) == b"text"
    with pytest.raises(DamagedError, match="corrupt"):
        stream.read(1)


def test_a_wrong_checksum_is_corrupt() -> None:
    packed = bytearray(gzip.compress(b"text"))
    packed[-6] ^= 1
    with pytest.raises(DamagedError, match="corrupt"):
        drain(opened(bytes(packed), "gzip"))


@pytest.mark.parametrize("codec", PACKERS)
def test_a_bomb_stops_at_the_ratio_and_at_the_total(codec: str) -> None:
    bomb = PACKERS[codec](bytes(20_000_000))
    position, problem = served(opened(bomb, codec, max_expansion_ratio=10), 10_000)
    assert problem == "bomb"
    assert position <= len(bomb) * 10 + 2**20
    position, problem = served(opened(bomb, codec, max_expansion_ratio=10**6, max_archive_bytes=3_000_000), 10_000)
    assert (position <= 3_000_000, problem) == (True, "bomb")


def test_zstd_blocks_stay_small_whatever_the_ratio() -> None:
    stream = opened(zstandard.compress(bytes(100_000_000)), "zstd", max_expansion_ratio=10**6)
    sizes = [len(block) for block in iter(stream.block, b"")]
    assert sum(sizes) == 100_000_000
    assert max(sizes) <= 33 * BLOCK_BYTES


def test_a_zstd_window_beyond_the_limit_is_not_allocated() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(TEXT) + packer.flush()
    with pytest.raises(DamagedError, match="corrupt"):
        drain(opened(packed, "zstd"))


def test_raw_deflate_ends_with_its_stream() -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(TEXT) + packer.flush()
    assert drain(opened(packed + b"next member", "deflate")) == TEXT


def test_the_disk_failing_is_no_damage() -> None:
    def read(size: int) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        Stream(read, "bzip2", Limits()).read(1)
