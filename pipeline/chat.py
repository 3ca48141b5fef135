"""Questions to an OpenAI-compatible endpoint: POST {url}/chat/completions, bounded in time and in size.

The site says where it is, a question which model is asked and what. Answers are foreign text: who asks must check them.
No redirect is followed and no proxy variable looked at, so that key and texts go nowhere else.
"""

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from pipeline.errors import SiteError
from pipeline.site_file import LlmSite

MAX_RESPONSE_BYTES = 1_000_000
"""Of one response; a longer one is refused."""
_LONGEST_WAIT_S = 60.0
_SHOWN_CHARS = 200
"""Of what an endpoint says, in an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One request, at temperature 0."""

    model: str
    system: str
    user: str
    max_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the model said."""

    text: str
    """Empty if it said nothing."""
    is_whole: bool
    """False if it was cut at `max_tokens`."""


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes
    retry_after: str


def check_endpoint(site: LlmSite) -> None:
    """Raises SiteError for a site without an endpoint."""
    if not site.url:
        raise SiteError("a model is to be asked and the site has no endpoint; set llm.url in the site file")


def ask(site: LlmSite, questions: Sequence[Question]) -> list[Answer]:
    """The answers, in the order of the questions; `max_in_flight` are asked at once.

    Raises SiteError as soon as one has none: no endpoint, key missing or refused, not reached after all retries, or
    what it sends is no chat completion.
    """
    check_endpoint(site)
    asker = _Asker(site, _key(site), threading.Event())
    pool = ThreadPoolExecutor(site.max_in_flight, thread_name_prefix="llm")
    try:
        futures = [pool.submit(asker.ask, question) for question in questions]
        done = wait(futures, return_when=FIRST_EXCEPTION).done
        for failed in [future for future in futures if future in done and future.exception()]:
            failed.result()
        return [future.result() for future in futures]
    finally:
        asker.stop.set()
        pool.shutdown(cancel_futures=True)


def _key(site: LlmSite) -> str:
    if not site.api_key_env:
        return ""
    key = os.environ.get(site.api_key_env, "").strip()
    if not key:
        raise SiteError(
            f"llm.api_key_env names {site.api_key_env!r}, which is not set; set it for the driver and every worker"
        )
    if not (key.isascii() and key.isprintable()):
        raise SiteError(f"the key in {site.api_key_env} has characters that no key has; set it again")
    return key


@dataclass(frozen=True, slots=True)
class _Asker:
    site: LlmSite
    key: str
    stop: threading.Event
    """Set once no further answer is wanted."""

    def ask(self, question: Question) -> Answer:
        """The answer. A failure stops the others, those that wait for a retry too."""
        if self.stop.is_set():
            raise CancelledError
        try:
            return self._ask(question)
        except SiteError:
            self.stop.set()
            raise

    def _ask(self, question: Question) -> Answer:
        """Ask until there is an answer, a refusal or no retry left."""
        body = _body(question)
        wait_s = self.site.backoff_s
        for attempt in range(self.site.retries + 1):
            asked_to_wait_s = 0.0
            try:
                response = self._post(body)
            except (OSError, HTTPException) as error:
                problem = f"{type(error).__name__}: {self._shown(str(error).encode())}"
            else:
                if response.status != 429 and response.status < 500:
                    return self._answer(response)
                problem = f"status {response.status}: {self._shown(response.body)}"
                asked_to_wait_s = float(response.retry_after) if response.retry_after.isdecimal() else 0.0
            if attempt == self.site.retries or self.stop.wait(min(max(wait_s, asked_to_wait_s), _LONGEST_WAIT_S)):
                break
            wait_s *= 2
        raise SiteError(
            f"the endpoint {self.site.url} did not answer in {attempt + 1} tries ({problem}); check llm.url, "
            "llm.timeout_s and the server"
        )

    def _post(self, body: bytes) -> _Response:
        """Raises OSError or HTTPException where there is no response in time."""
        parts = urlsplit(self.site.url)
        assert parts.hostname, "the site file is checked"
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=self.site.timeout_s)
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            connection.connect()
            with _deadline(connection.sock, self.site.timeout_s):
                connection.request("POST", f"{parts.path}/chat/completions", body, headers)
                response = connection.getresponse()
                content = response.read(MAX_RESPONSE_BYTES + 1)
                if response.length and len(content) <= MAX_RESPONSE_BYTES:  # a broken connection ends a read silently
                    raise IncompleteRead(content, response.length)
            return _Response(response.status, content, response.headers.get("Retry-After", ""))
        finally:
            connection.close()

    def _answer(self, response: _Response) -> Answer:
        url, status, shown = self.site.url, response.status, self._shown(response.body)
        if status in (401, 403):
            key = f"the key in {self.site.api_key_env}" if self.key else "a request without a key"
            raise SiteError(
                f"the endpoint {url} refused {key} ({status}): {shown}; set llm.api_key_env and that variable"
            )
        if status != 200:
            raise SiteError(f"the endpoint {url} refused the request ({status}): {shown}; check llm.url and the model")
        if len(response.body) > MAX_RESPONSE_BYTES:
            raise SiteError(f"the endpoint {url} sent more than {MAX_RESPONSE_BYTES} bytes; check llm.url")
        try:
            choice = _Completion.model_validate_json(response.body).choices[0]
        except ValidationError as error:
            raise SiteError(f"the endpoint {url} sent no chat completion but {shown!r}; check llm.url") from error
        return Answer(text=choice.message.content or "", is_whole=choice.finish_reason != "length")

    def _shown(self, body: bytes) -> str:
        """The beginning of a body on one line, without the key."""
        text = body[: 4 * _SHOWN_CHARS].decode(errors="replace")
        text = text.replace(self.key, "***") if self.key else text
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_SHOWN_CHARS]


def _body(question: Question) -> bytes:
    messages = [{"role": "system", "content": question.system}, {"role": "user", "content": question.user}]
    fixed = {"temperature": 0, "seed": question.seed, "max_tokens": question.max_tokens, "stream": False}
    return json.dumps({"model": question.model, "messages": messages, **fixed}).encode()


@contextmanager
def _deadline(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Ends what goes over the socket after this time; its own timeout begins anew with each byte that trickles in."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError):  # closed meanwhile
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of the plain socket: TLS would wait for the other side

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException) as error:
        if is_over.is_set():
            raise TimeoutError(f"no whole response in {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError(f"no whole response in {seconds:g} s")
