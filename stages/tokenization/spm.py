"""SentencePiece models: the reference that encodes with them, and the same model as a `tokenizer.json`."""

from functools import lru_cache

from gigatoken._load.sentencepiece import sentencepiece_to_tokenizer_json
from sentencepiece import SentencePieceProcessor


def load_model(name: str, content: bytes) -> SentencePieceProcessor:
    """The model in SentencePiece itself. Raises ValueError for what is none."""
    model = SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(content)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"vocabulary {name} is not a SentencePiece model: {error}") from error
    return model


def control_tokens(model: SentencePieceProcessor) -> dict[str, int]:
    """Pieces that no text encodes to, and the piece for unknown characters."""
    ids = range(model.GetPieceSize())
    return {model.IdToPiece(token): token for token in ids if model.IsControl(token) or model.IsUnknown(token)}


@lru_cache(maxsize=2)
def as_tokenizer_json(content: bytes) -> bytes:
    """The model as Hugging Face tokenizers writes models. Raises ValueError unless it is BPE with byte fallback."""
    converted: str = sentencepiece_to_tokenizer_json(content)
    return converted.encode()
