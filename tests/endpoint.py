"""An OpenAI-compatible endpoint on loopback, for tests: answers as it is told and keeps what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.site_file import LlmSite


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the endpoint sends."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0
    """Before each byte of the body."""
    missing: int = 0
    """Bytes that are announced and never sent."""


def said(text: str | None, finish_reason: str | None = "stop", **more: Any) -> Reply:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return Reply(body=json.dumps({"object": "chat.completion", "choices": [choice], "usage": {}}).encode(), **more)


@dataclass
class Endpoint:
    """A server that runs."""

    url: str
    answer: Callable[[dict[str, Any], int], Reply]
    """Of a request and how many came before it."""
    key: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    most_open: int = 0
    """Most requests that waited for an answer at once."""
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def site(self, **settings: Any) -> LlmSite:
        """The site's table for it, with short waits."""
        return LlmSite(url=self.url, **({"backoff_s": 0.01, "timeout_s": 10} | settings))

    def reply(self, request: dict[str, Any], path: str, authorization: str) -> Reply:
        """What to send."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
        if path != "/v1/chat/completions":
            return Reply(body=b'{"error": "no such path"}', status=404)
        if authorization != (f"Bearer {self.key}" if self.key else ""):
            return Reply(body=f"wrong key {authorization.removeprefix('Bearer ')}".encode(), status=401)
        return self.answer(request, number)

    def count(self, change: int) -> None:
        """Count what is open."""
        with self._lock:
            self._open += change
            self.most_open = max(self.most_open, self._open)


@contextmanager
def serve(answer: Callable[[dict[str, Any], int], Reply], key: str = "") -> Iterator[Endpoint]:
    """An endpoint for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            endpoint.count(1)
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = endpoint.reply(request, self.path, self.headers.get("Authorization", ""))
            endpoint.count(-1)  # not later: who has read the answer may ask again before this thread goes on
            try:
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(reply.body) + reply.missing))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for start in range(0, len(reply.body), 1 if reply.pause_s else max(len(reply.body), 1)):
                    time.sleep(reply.pause_s)
                    self.wfile.write(reply.body[start : start + 1] if reply.pause_s else reply.body)
            except OSError:
                pass  # who asked has gone

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", answer, key)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
