"""Arrow schema of token ids, row-aligned with `documents`."""

import pyarrow as pa

from schemas.columns import columns

TOKENS = columns(pa.field("tokens", pa.list_(pa.int32())), pa.field("num_tokens", pa.int32()))
"""tokens: ids of the text in the vocabulary, without begin or end tokens; null where `text` is, empty where it is.
num_tokens: how many; what counts tokens need not read them.
"""

TOKENIZER_KEY = b"gristmill:tokenizer"
"""Key of the schema's metadata: JSON of what the ids depend on. `vocabulary` (digest), `kind`, `split`,
`character_classes` (digest of the Unicode classes that splitting uses; null for SentencePiece, which uses none),
`engine` and `libraries` (versions)."""
