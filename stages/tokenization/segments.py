"""Vocabularies whose tokens of parts of a text, encoded each by itself, give back the text."""

import numpy as np

from stages.tokenization.engines import Reference
from stages.tokenization.pieces import Pieces
from stages.tokenization.vocabulary import Vocabulary

_PROBES = ("x", " x", "\n  x", "x ")


def check_separable(vocabulary: Vocabulary, pieces: Pieces, reference: Reference, purpose: str) -> None:
    """Raise ValueError for a vocabulary that adds text of its own, such as a space before each part.

    `purpose` is what the parts are for, in a word or two.
    """
    for probe in _PROBES:
        found = pieces.decode(np.array(reference.encode_text(probe), np.int64))
        if found != probe.encode():
            raise ValueError(
                f"vocabulary {vocabulary.name} encodes {probe!r} to tokens of {found!r}; {purpose} need one whose "
                "tokens give back a part of a text byte for byte, such as byte-level BPE"
            )
