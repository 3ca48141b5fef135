"""The site file: where a run happens. Never part of identity."""

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import SiteError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSite(_Section):
    """Where shards, records and published corpora live."""

    path: str = Field(default="gristmill-store", validate_default=True)
    """A folder, or `s3://bucket/prefix`."""
    endpoint: str | None = None
    """URL of an S3-compatible server; empty for AWS."""
    region: str = "us-east-1"
    access_key_env: str = "AWS_ACCESS_KEY_ID"
    """Environment variable that holds the access key."""
    secret_key_env: str = "AWS_SECRET_ACCESS_KEY"  # noqa: S105
    """Environment variable that holds the secret key."""

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        """Workers have other working directories."""
        return path if "://" in path else str(Path(path).expanduser().absolute())


class RaySite(_Section):
    """Which Ray cluster runs the tasks."""

    address: str = "local"
    """`local` starts a cluster for this run; otherwise `auto`, `HOST:PORT` or `ray://HOST:PORT`."""
    connect_timeout_s: int = Field(default=20, ge=1)
    object_store_bytes: int = Field(default=256_000_000, ge=80_000_000)
    """Shared memory of a local cluster; data moves through the store, not through here."""


class ExecutionSite(_Section):
    """How much runs at once and how failures are met."""

    executor: Literal["ray", "local"] = "ray"
    """`local` runs every task in this process, one after the other."""
    workers: int = Field(default=0, ge=0)
    """CPUs used at once; 0 means all of a local machine or cluster."""
    retries: int = Field(default=2, ge=0)
    """How often a shard whose worker died or failed is tried again."""


class CatalogSite(_Section):
    """Where published versions are entered as Iceberg tables."""

    uri: str = ""
    """`https://...` of a REST catalog or a SQLAlchemy address; empty for SQLite in a local store, none for a bucket."""


class LlmSite(_Section):
    """An OpenAI-compatible endpoint. Which model is asked is no part of it: that changes what is made."""

    url: str = ""
    """Base address, as in `http://localhost:8000/v1`; empty if the site has none."""
    api_key_env: str = ""
    """Environment variable of the driver and every worker that holds the key; empty to send none."""
    timeout_s: float = Field(default=120, gt=0)
    """How long one request may take in all."""
    max_in_flight: int = Field(default=4, ge=1)
    """Requests that a task has open at once."""
    retries: int = Field(default=4, ge=0)
    """How often a request is sent again after no answer, 429 or 5xx."""
    backoff_s: float = Field(default=1, ge=0)
    """Wait before the first retry; doubles with each, up to a minute."""

    @field_validator("url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)  # this and its port raise ValueError for what is none
        if (
            not re.fullmatch(r"https?://[!-~]+", url)
            or re.search(r"[?#@]", url)
            or not parts.hostname
            or parts.port == 0
        ):
            raise ValueError("must be http(s)://HOST[:PORT][/PATH] without user, query or fragment")
        return url.rstrip("/")


class Site(_Section):
    """A whole site file."""

    store: StoreSite = Field(default_factory=StoreSite)
    catalog: CatalogSite = CatalogSite()
    ray: RaySite = RaySite()
    execution: ExecutionSite = ExecutionSite()
    llm: LlmSite = LlmSite()

    @property
    def workers(self) -> int:
        """CPUs used at once."""
        return self.execution.workers or len(os.sched_getaffinity(0))


def load_site(path: Path | None) -> Site:
    """Read a site file; the defaults without one.

    Raises SiteError for a missing file, broken TOML, an unknown key (with the closest known one) or a wrong value.
    """
    if path is None:
        return Site()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SiteError(f"cannot read site file {path}: {error.strerror}; check the path given to --site") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SiteError(f"site file {path} is not TOML: {error}") from error
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        raise SiteError(
            f"site file {path}: " + "; ".join(_explain(e["loc"], e["type"], e["msg"]) for e in error.errors())
        ) from error


def _explain(location: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(str(part) for part in location)
    if kind != "extra_forbidden":
        return f"{name}: {message}"
    section: type[BaseModel] = Site
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        section = annotation
    known = sorted(section.model_fields)
    close = get_close_matches(str(location[-1]), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return f"unknown key {name!r}; {hint}"
