"""A small corpus of three topics in several shards, with its embeddings."""

import hashlib

import numpy as np
import pyarrow as pa

from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from schemas.columns import columns
from schemas.documents import ID
from stages.embed.static_table import static_table_stage
from tests import machine

TOPICS = {
    "cooking": "butter flour sugar bake oven dough cake cream egg recipe whisk pastry vanilla bread",
    "space": "planet orbit telescope galaxy star comet lunar solar rocket nebula asteroid gravity",
    "law": "court judge statute plaintiff contract liability appeal verdict counsel tribunal clause",
}
DOCUMENTS = columns(
    pa.field("document_id", ID, nullable=False),
    pa.field("origin", pa.string(), nullable=False),
    pa.field("language", pa.string()),
    pa.field("size", pa.int64(), nullable=False),
    pa.field("text", pa.string()),
    pa.field("problem", pa.string()),
)
MARKS = columns(pa.field("keep", pa.bool_()), pa.field("score", pa.float32()))


def shard(number: int, rows: int) -> pa.Table:
    """Texts of all topics in turn; the first has none, the second an empty one."""
    generator = np.random.default_rng(number)
    topics = [list(TOPICS)[row % 3] for row in range(rows)]
    texts: list[str | None] = [" ".join(generator.choice(TOPICS[topic].split(), 12)) for topic in topics]
    texts[:2] = [None, ""]
    return pa.table(
        {
            "document_id": [
                hashlib.blake2b(f"{number}/{row}".encode(), digest_size=16).digest() for row in range(rows)
            ],
            "origin": [f"site:{topic}" for topic in topics],
            "language": ["Text" if row % 2 else None for row in range(rows)],
            "size": [len(text or "") for text in texts],
            "text": texts,
            "problem": ["binary" if text is None else None for text in texts],
        },
        schema=DOCUMENTS,
    )


def corpus(shards: int = 3, rows: int = 40) -> tuple[Dataset, Dataset, Dataset, list[pa.Table]]:
    """Documents, their embeddings, marks that drop every tenth document and score by topic, and the documents again."""
    tables = [shard(number, rows + 3 * number) for number in range(shards)]
    documents = machine.given("documents", *tables)
    marks = [
        pa.table(
            {
                "keep": [row % 10 != 9 for row in range(len(table))],
                "score": np.array([float(list(TOPICS).index(origin[5:])) for origin in table["origin"].to_pylist()]),
            },
            schema=MARKS,
        )
        for table in tables
    ]
    embeddings = annotate("embeddings", documents, stages=[static_table_stage()])
    return documents, embeddings, machine.given("marks", *marks, beside=documents), tables
