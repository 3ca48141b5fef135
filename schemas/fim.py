"""Arrow schema of fill-in-the-middle tokens, row-aligned with `documents`."""

import pyarrow as pa

from schemas.columns import columns
from schemas.tokens import TOKENS

FIM_MODES = ("none", "psm", "spm")
"""How a document's tokens are ordered.

none: as the text. psm: prefix sentinel, prefix, suffix sentinel, suffix, middle sentinel, middle. spm: prefix sentinel,
suffix sentinel, suffix, middle sentinel, prefix, middle (variant 2 of Bavarian et al. 2022, arXiv 2207.14255).
"""

FIM = columns(
    *TOKENS,
    pa.field("fim_mode", pa.string()),
    pa.field("fim_start", pa.int32()),
    pa.field("fim_end", pa.int32()),
)
"""tokens, num_tokens: as in `TOKENS`, sentinels included.

fim_mode: one of `FIM_MODES`; null where `text` is.
fim_start, fim_end: bytes of the text's UTF-8 that are the middle, end exclusive; null where the mode is `none`.
"""


def source_order(mode: str, start: int | None, end: int | None, size: int) -> list[tuple[int, int]]:
    """Byte ranges of a text of `size` bytes in the order in which they stand in its tokens."""
    if mode not in FIM_MODES:
        raise ValueError(f"fim_mode must be one of {', '.join(FIM_MODES)}, got {mode!r}")
    if mode == "none" or start is None or end is None:
        return [(0, size)]
    prefix, middle, suffix = (0, start), (start, end), (end, size)
    return [prefix, suffix, middle] if mode == "psm" else [suffix, prefix, middle]
