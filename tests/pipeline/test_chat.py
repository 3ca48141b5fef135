"""Questions over real HTTP on loopback: good answers, and everything that an endpoint may do instead."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.chat import MAX_RESPONSE_BYTES, Answer, Question, ask
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.errors import SiteError
from pipeline.execute_ray import RayExecutor
from pipeline.site_file import LlmSite, Site, StoreSite
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from tests import machine
from tests.endpoint import Reply, said, serve
from tests.machine import ROOT

BUSY = Reply(body=b'{"error": "slow down"}', status=429)


def question(user: str = "hello") -> Question:
    return Question(model="m", system="be brief", user=user, max_tokens=9, seed=3)


def test_a_question_goes_out_as_the_protocol_says() -> None:
    with serve(lambda request, _: said("Good day")) as endpoint:
        assert ask(endpoint.site(), [question("hé\n")]) == [Answer(text="Good day", is_whole=True)]
    (request,) = endpoint.requests
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hé\n"}]
    fixed = {"temperature": 0, "seed": 3, "max_tokens": 9, "stream": False}
    assert request == {"model": "m", "messages": messages, **fixed}


def test_answers_come_in_the_order_of_the_questions_and_few_at_once() -> None:
    def answer(request: dict[str, Any], number: int) -> Reply:
        time.sleep(0.03 if number % 3 else 0.1)
        return said(request["messages"][1]["content"])

    texts = [f"{n}" for n in range(12)]
    with serve(answer) as endpoint:
        assert [a.text for a in ask(endpoint.site(max_in_flight=3), [question(t) for t in texts])] == texts
    assert endpoint.most_open == 3
    assert len(endpoint.requests) == 12
    assert ask(LlmSite(url=endpoint.url), []) == []


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (said(None), Answer(text="", is_whole=True)),
        (said("a\nb\x00"), Answer(text="a\nb\x00", is_whole=True)),
        (said("so lo", "length"), Answer(text="so lo", is_whole=False)),
        (said("x", None), Answer(text="x", is_whole=True)),
    ],
)
def test_what_the_model_says_comes_as_it_is(reply: Reply, answer: Answer) -> None:
    with serve(lambda *_: reply) as endpoint:
        assert ask(endpoint.site(), [question()]) == [answer]


@pytest.mark.parametrize("bad", [BUSY, Reply(body=b"", status=503), Reply(body=said("x").body, missing=5)])
def test_a_passing_failure_is_tried_again(bad: Reply) -> None:
    with serve(lambda _, number: bad if number < 2 else said("at last")) as endpoint:
        assert ask(endpoint.site(), [question()])[0].text == "at last"
    assert len(endpoint.requests) == 3


def test_waits_are_doubled_and_what_the_endpoint_asks_for_is_kept() -> None:
    asked = Reply(body=b"", status=429, headers={"Retry-After": "1"})
    with serve(lambda _, number: asked if number == 0 else said("x")) as endpoint:
        started = time.monotonic()
        ask(endpoint.site(), [question()])
        assert time.monotonic() - started >= 1
    with serve(lambda _, number: BUSY if number < 3 else said("x")) as endpoint:
        started = time.monotonic()
        ask(endpoint.site(backoff_s=0.1), [question()])
        assert 0.7 <= time.monotonic() - started < 5


def test_an_endpoint_that_always_fails_ends_it() -> None:
    reply, message = (
        Reply(body=b"out\nof\x1b[31m memory" * 99, status=500),
        r"in 3 tries \(status 500: out of \[31m mem",
    )
    with serve(lambda *_: reply) as endpoint, pytest.raises(SiteError, match=message) as failed:
        ask(endpoint.site(retries=2), [question()])
    assert len(endpoint.requests) == 3
    assert len(str(failed.value)) < 500


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(body=b"<html>hello</html>"), "sent no chat completion but '<html>hello</html>'"),
        (Reply(body=b""), "sent no chat completion"),
        (Reply(body=b'{"choices": []}'), "sent no chat completion"),
        (Reply(body=b'{"choices": [{"message": {"content": 7}}]}'), "sent no chat completion"),
        (Reply(body=b"[" * 100_000), "sent no chat completion"),
        (Reply(body=b"\xff\xfe"), "sent no chat completion"),
        (Reply(body=b" " * (MAX_RESPONSE_BYTES + 1)), "sent more than 1000000 bytes"),
        (Reply(body=b"no model m", status=404), r"refused the request \(404\): no model m; check"),
        (Reply(body=b"", status=302, headers={"Location": "http://example.org"}), r"refused the request \(302\)"),
    ],
)
def test_what_is_no_answer_is_refused_at_once(reply: Reply, message: str) -> None:
    with serve(lambda *_: reply) as endpoint, pytest.raises(SiteError, match=message):
        ask(endpoint.site(), [question()])
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("pause_s", [5.0, 0.05])
def test_time_is_bounded_though_bytes_trickle_in(pause_s: float) -> None:
    with serve(lambda *_: Reply(body=said("x").body, pause_s=pause_s)) as endpoint:
        started = time.monotonic()
        with pytest.raises(SiteError, match=r"in 2 tries \(TimeoutError"):
            ask(endpoint.site(timeout_s=0.3, retries=1), [question()])
        assert time.monotonic() - started < 3


def test_the_first_failure_ends_all() -> None:
    def answer(_: object, number: int) -> Reply:
        return said("x") if number < 2 else Reply(body=b"no", status=400)

    with serve(answer) as endpoint, pytest.raises(SiteError, match="400"):
        ask(endpoint.site(max_in_flight=1), [question()] * 50)
    assert len(endpoint.requests) == 3


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", " good-key\n")
    with serve(lambda *_: said("x"), key="good-key") as endpoint:
        assert ask(endpoint.site(api_key_env="KEY"), [question()])[0].text == "x"
        monkeypatch.setenv("KEY", "bad-key")
        with pytest.raises(SiteError, match=r"refused the key in KEY \(401\): wrong key \*\*\*") as refused:
            ask(endpoint.site(api_key_env="KEY"), [question()])
        assert "bad-key" not in str(refused.value)
        with pytest.raises(SiteError, match="refused a request without a key"):
            ask(endpoint.site(), [question()])
        assert len(endpoint.requests) == 3
        monkeypatch.setenv("KEY", "two\nlines")
        with pytest.raises(SiteError, match="characters that no key has") as refused:
            ask(endpoint.site(api_key_env="KEY"), [question()])
        assert "lines" not in str(refused.value)
        with pytest.raises(SiteError, match="'OTHER', which is not set"):
            ask(endpoint.site(api_key_env="OTHER"), [question()])
    assert len(endpoint.requests) == 3


def test_an_endpoint_that_is_not_there() -> None:
    with pytest.raises(SiteError, match=r"set llm\.url"):
        ask(LlmSite(), [question()])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(SiteError, match=r"in 2 tries \(ConnectionRefusedError"):
            ask(LlmSite(url=url, retries=1, backoff_s=0), [question()])


@dataclass(frozen=True, slots=True)
class AskCall:
    """A task that asks."""

    output: Shard

    def __call__(self, store: Store) -> list[Record]:
        texts = [answer.text for answer in ask(store.llm, [question()])]
        return [store.commit(self.output, pa.table({"text": texts}), Made(libraries={}, counters={}))]


def asking() -> Dataset:
    def expand(dataset: Dataset, _: Expansion) -> list[Task]:
        output = dataset.shard("one")
        return [Task(label="1/1", outputs=(output,), call=AskCall(output))]

    return Dataset(
        name="asking", version=1, config=None, schema=pa.schema([("text", pa.string())]), expand=expand, exact=False
    )


@pytest.mark.ray
def test_a_task_on_ray_finds_the_endpoint(ray_cpus: int, tmp_path: Path) -> None:
    with serve(lambda *_: said("from far")) as endpoint:
        site, dataset = Site(store=StoreSite(path=str(tmp_path)), llm=endpoint.site()), asking()
        ran = machine.run(site, dataset, executor=RayExecutor(site, ray_cpus, (str(ROOT),)))
        assert ran.tables(dataset)[0].to_pylist() == [{"text": "from far"}]
        assert machine.run(site, dataset).made == []
        assert len(endpoint.requests) == 1
