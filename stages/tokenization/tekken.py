"""Mistral's `tekken.json`: ranks like tiktoken's, cut to the size of the vocabulary, after the special tokens' ids."""

import json
from dataclasses import dataclass
from typing import Any

_TOKENS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip
"""Special tokens of files that name none (formats before v11, as mistral-common reads them)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tekken:
    """What such a file says."""

    rank_file: bytes
    """The same tokens as a tiktoken rank file, ranks from 0."""
    pattern: str
    special_tokens: dict[str, int]

    @property
    def offset(self) -> int:
        """Id of rank 0: special tokens have the ids before."""
        return len(self.special_tokens)


def is_tekken(content: Any) -> bool:
    """Whether the parsed JSON has the two parts of a `tekken.json`."""
    return isinstance(content, dict) and isinstance(content.get("config"), dict) and "vocab" in content


def read_tekken(name: str, content: dict[str, Any]) -> Tekken:
    """A parsed `tekken.json`. Raises ValueError for one that does not hold what it says."""
    try:
        config = content["config"]
        num_special, size = int(config["default_num_special_tokens"]), int(config["default_vocab_size"])
        named = content.get("special_tokens")
        tokens = [token["token_str"] for token in named] if named is not None else list(_TOKENS)
        tokens += [f"<SPECIAL_{token}>" for token in range(len(tokens), num_special)]
        vocab = content["vocab"][: size - num_special]
        lines = [f"{token['token_bytes']} {token['rank']}" for token in vocab]
        in_order = [token["rank"] for token in vocab] == list(range(size - num_special))
        in_order &= named is None or [token["rank"] for token in named] == list(range(len(named)))
        pattern = str(config["pattern"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"vocabulary {name} is not a tekken.json: {json.dumps(str(error))}") from error
    if not in_order or len(set(tokens)) != num_special:
        raise ValueError(
            f"vocabulary {name} must hold ranks 0 to {size - num_special - 1} in order and at most {num_special} "
            f"special tokens, each once; it holds {len(vocab)} and {len(set(tokens))}"
        )
    special_tokens = {token: number for number, token in enumerate(tokens)}
    return Tekken(rank_file="\n".join(lines).encode(), pattern=pattern, special_tokens=special_tokens)
