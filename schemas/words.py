"""Bytes and word borders: the input of models that read bytes, row-aligned with documents."""

import pyarrow as pa

from schemas.columns import columns

WORDS = columns(pa.field("word_borders", pa.binary()), pa.field("num_words", pa.int32()))
"""word_borders: a bitmap over the UTF-8 bytes of `text`: bit i, counted from the least significant bit of the first
byte, is set where a word begins at byte i; the bits after the text are 0. Null where `text` is, empty where it is.
num_words: how many bits are set.
"""
