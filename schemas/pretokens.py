"""Arrow schemas of tokenizer training: counted pretokens, and the tokenizer that is learnt from them."""

import pyarrow as pa

from schemas.columns import columns

PRETOKENS = columns(
    pa.field("kind", pa.int8(), nullable=False),
    pa.field("domain", pa.string(), nullable=False),
    pa.field("pretoken", pa.binary(), nullable=False),
    pa.field("count", pa.int64(), nullable=False),
)
"""How often a pretoken stands in the texts of a domain, sorted by kind, domain and pretoken within a shard.

kind: which of the counts of a way to train: 0 is its first, and the only one of BPE inside words.
domain: the document's language, `unknown` where it has none.
pretoken: UTF-8 bytes of a piece of text that the split made.
All rows of one kind and pretoken are in one shard, so that shards can be read one by one.
"""

TOKENIZER = columns(pa.field("tokenizer", pa.binary(), nullable=False))
"""One row: the content of a `tokenizer.json`, or of a hybrid's file."""
