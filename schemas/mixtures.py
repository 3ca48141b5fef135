"""Arrow schemas of the search for a mixture: samples of domains, mixtures to measure, what was measured, the result."""

import pyarrow as pa

from schemas.columns import columns
from schemas.documents import ID

DOMAIN_SAMPLE = columns(
    pa.field("is_validation", pa.bool_()),
    pa.field("document_id", ID),
    pa.field("tokens", pa.list_(pa.int32())),
)
"""What proxies see of one domain; one shard per domain, documents in the order of the published shuffle.

is_validation: held out of training, chosen by a hash of the id. tokens: ids; the last one ends the document, unless it
is cut: the last one held out to fit, and the last of all in two rows where no document is held out.
"""

MIXTURES = columns(
    pa.field("mixture_id", pa.binary(16)),
    pa.field("weights", pa.list_(pa.float64())),
)
"""Mixtures that one round measures.

mixture_id: blake2b-128 of the weights as little-endian float64. weights: shares of tokens by domain, sorted by name.
"""

MIXTURE_RUNS = columns(
    pa.field("mixture_id", pa.binary(16)),
    pa.field("weights", pa.list_(pa.float64())),
    pa.field("bits_per_byte", pa.list_(pa.float64())),
)
"""One measured mixture per shard.

mixture_id, weights: of the mixture. bits_per_byte: of a proxy trained on it, on every validation set, sorted by name.
"""

DOMAIN_CELLS = columns(
    pa.field("domain", pa.string()),
    pa.field("cell", pa.int32()),
    pa.field("tokens", pa.int64()),
)
"""What domains hold: one row per domain and fine cluster that have a document in common, sorted by both.

cell: the cluster; -1 for documents without one. tokens: of those documents, with the tokens that end them.
"""

MIXTURE_BASIS = columns(pa.field("basis", pa.binary()))
"""One row: what domains hold and what validation sets are, as JSON."""

MIXTURE_RESULT = columns(pa.field("result", pa.binary()))
"""One row: the result of a search as JSON, as `mixture search --to` writes it."""
