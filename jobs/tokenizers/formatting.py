"""How tokens change when a text is only formatted otherwise (TokDrift, arXiv 2510.14972).

The bytes that are no white space stay the same, so tokens before and after can be compared by which of these they hold.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.tokenizers.measures import Measured
from stages.text_views import text_views
from stages.tokenization.engines import Ids
from stages.tokenization.pieces import Pieces

_INDENT = re.compile(r"^(?: {4})+", re.MULTILINE)
_LINE_END = re.compile(r"(?<=[^\s])(?=\r?\n|\Z)")
_BREAK = re.compile(r"\r?\n")

CHANGES: dict[str, Callable[[str], str]] = {
    "indent by 2": lambda text: _INDENT.sub(lambda found: "  " * (len(found[0]) // 4), text),
    "indent by tab": lambda text: _INDENT.sub(lambda found: "\t" * (len(found[0]) // 4), text),
    "trailing space": lambda text: _LINE_END.sub(" ", text),
    "blank lines": lambda text: _BREAK.sub(lambda found: found[0] * 2, text),
    "CRLF": lambda text: _BREAK.sub("\r\n", text),
}
"""What is done to a text, by name. Indentation is changed where it is of 4 spaces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """Tokens of the same texts before and after a change."""

    tokens_before: int
    tokens_after: int
    content_tokens: int
    """Of those before, the ones that hold more than white space."""
    changed: int
    """Of these, the ones that no token afterwards equals in id and in the bytes of content that it holds."""

    @property
    def ratio(self) -> float | None:
        return self.tokens_after / self.tokens_before if self.tokens_before else None

    @property
    def changed_share(self) -> float | None:
        return self.changed / self.content_tokens if self.content_tokens else None


def measure_drift(measured: Measured, texts: "pa.Array[Any]", change: Callable[[str], str]) -> Drift | None:
    """None for a vocabulary whose tokens are no bytes, or do not spell these texts."""
    if measured.pieces is None:
        return None
    changed = pa.array([change(text) for text in texts.to_pylist()], pa.string())
    before, after = measured.encode(texts), measured.encode(changed)
    first, second = _spans(texts, before[1], measured.pieces), _spans(changed, after[1], measured.pieces)
    if first is None or second is None:
        return None
    (old, old_ids), (new, new_ids) = first, second
    place = np.minimum(np.searchsorted(new, old), max(0, len(new) - 1))  # spans ascend
    kept = int(((new[place] == old) & (new_ids[place] == old_ids)).sum()) if len(new) else 0
    return Drift(
        tokens_before=len(before[1]),
        tokens_after=len(after[1]),
        content_tokens=len(old),
        changed=len(old) - kept,
    )


def _spans(texts: "pa.Array[Any]", ids: Ids, pieces: Pieces) -> tuple[npt.NDArray[np.int64], Ids] | None:
    """Tokens that hold content: which of its bytes, as first * 2^32 + end over all texts, and their ids."""
    assert isinstance(texts, pa.StringArray)
    offsets, data = text_views(texts)
    data = data[offsets[0] : offsets[-1]]
    ends = np.cumsum(pieces.lengths[ids], dtype=np.int64)
    if len(data) and (not len(ends) or ends[-1] != len(data)):
        return None
    is_content = (data != 32) & ((data < 9) | (data > 13))
    content = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_content, dtype=np.int64)])
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if len(ends) else ends
    first, last = content[starts], content[ends]
    spans: npt.NDArray[np.int64] = (first << 32) | last
    return spans[last > first], ids[last > first]
