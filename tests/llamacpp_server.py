"""A llama.cpp server that replays what a real one sent, with faults on request.

`record_llamacpp.py` recorded it. Streams can be continued from anywhere: a request whose prompt is
the start of what was sampled gets the rest of its events, counted anew.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from openai_server import KEY, Fault, reset

FOLDER = Path(__file__).parent / "backends" / "recorded"
Event = dict[str, Any]


class Recorded:
    """What a server said.

    Attributes:
        requests: while the backend was opened and texts were encoded, with their answers.
        runs: what was generated: prompt and sampled ids, and its own requests.
    """

    def __init__(self, kind: str) -> None:
        read = _read(kind)
        self.requests: list[dict[str, Any]] = read["requests"]
        self.runs: list[dict[str, Any]] = read["runs"]

    def ids(self, run: int) -> list[int]:
        """Prompt and sampled ids of a run."""
        return list(self.runs[run]["ids"])

    def answer(self, path: str, body: Any) -> Any:
        """The answer to a request; None if it was never made."""
        requests = (*self.requests, *(r for run in self.runs for r in run["requests"]))
        same = (r for r in requests if r["path"] == path and r["body"] == body)
        return next((r["answer"] for r in same if "answer" in r), None)

    def events(self, body: dict[str, Any]) -> list[Event]:
        """The events of a stream: as they were, or those of a run from another place on."""
        for run in self.runs:
            for request in run["requests"]:
                if request["body"] == body and "events" in request:
                    return list(request["events"])
        return [*_counted_anew(self.continued(body), body)]

    def continued(self, body: dict[str, Any]) -> dict[str, Any]:
        """The run that a request continues."""
        prompt = body["prompt"]
        for run in self.runs:
            first = run["requests"][0]["body"]
            alike = all(first[k] == body[k] for k in ("temperature", "n_probs", "logit_bias"))
            if alike and run["ids"][: len(prompt)] == prompt:
                return run
        raise LookupError(f"no run goes on after {prompt}")


@cache
def _read(kind: str) -> dict[str, Any]:
    text = (FOLDER / f"llamacpp-{kind}.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def _counted_anew(run: dict[str, Any], body: dict[str, Any]) -> Iterator[Event]:
    """The events of a run after a prompt that ends anywhere in it, then the last one."""
    ids, begin = run["ids"], len(body["prompt"])
    end = min(len(ids), begin + body["n_predict"])
    told = {last: (first, event) for first, last, event in _placed(run)}
    inside = max((last for last, (first, _) in told.items() if first < begin < last), default=begin)
    for at in range(begin + 1, end + 1):
        counted = {"tokens_predicted": at - begin}
        if at <= inside:  # the prompt ends in a character: the rest of it is no UTF-8
            yield {"content": "\ufffd", "tokens": [ids[at - 1]], "stop": False, **counted}
        elif at in told:
            yield {**told[at][1], **counted}
    why = "limit" if end == begin + body["n_predict"] else "eos"
    last = {"tokens_predicted": end - begin, "timings": {"cache_n": begin - 1}}
    yield {"content": "", "tokens": [], "stop": True, "stop_type": why, **last}


def _placed(run: dict[str, Any]) -> Iterator[tuple[int, int, Event]]:
    """The events that became part of a run, with what they cover of it."""
    for request in run["requests"]:
        begin = first = len(request["body"]["prompt"])
        for event in request.get("events", ()):
            last = begin + event["tokens_predicted"]
            own = event["tokens"]
            if own and run["ids"][last - len(own) : last] == own:
                yield first, last, event
            first = last


class FakeLlama:
    """Use it as a context; `url` is its address.

    Args:
        kind: of the vocabulary, as in `tiny_gguf.py`.
        faults: one for each streamed request, in order; then all is well.
        wants_key: answers 401 without the key.
        edit: changes the events of each stream.
        answers: what it says instead of what was recorded, by path.
    """

    def __init__(
        self,
        kind: str = "bytes",
        *,
        faults: Sequence[Fault] = (),
        wants_key: bool = False,
        edit: Callable[[list[Event]], Iterable[Any]] = lambda events: events,
        answers: dict[str, tuple[int, Any]] | None = None,
    ) -> None:
        self.recorded = Recorded(kind)
        self.faults = list(faults)
        self.wants_key = wants_key
        self.edit = edit
        self.answers = answers or {}
        self.requests: list[tuple[str, Any]] = []
        self.gone = threading.Event()
        """A client left before its stream was over."""
        handler = type("Handler", (Handler,), {"fake": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()

    @property
    def streamed(self) -> list[dict[str, Any]]:
        """The bodies of all requests for a stream."""
        return [body for _, body in self.requests if body and body.get("stream")]


class Handler(BaseHTTPRequestHandler):
    fake: FakeLlama

    def setup(self) -> None:
        super().setup()
        self.fake._open.add(self.connection)

    def finish(self) -> None:
        self.fake._open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.fake.gone.set()

    def log_message(self, *_: Any) -> None: ...

    def say(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.reply(None)

    def do_POST(self) -> None:
        self.reply(json.loads(self.rfile.read(int(self.headers.get("content-length", 0)))))

    def reply(self, body: Any) -> None:
        fake = self.fake
        said = self.headers.get("authorization", "")
        if fake.wants_key and said != f"Bearer {KEY}":
            self.say(401, {"error": {"message": f"Invalid API Key {said}", "code": 401}})
        elif self.path in fake.answers:
            self.say(*fake.answers[self.path])
        elif body and body.get("stream"):
            fake.requests.append((self.path, body))
            self.stream(body, fake.faults.pop(0) if fake.faults else None)
        else:
            fake.requests.append((self.path, body))
            answer = fake.recorded.answer(self.path, body)
            if answer is None and self.path == "/completion":
                begin = len(body["prompt"])
                ids = fake.recorded.continued(body)["ids"]
                answer = {"tokens": ids[begin:][: body["n_predict"]]}
            missing = {"error": {"message": f"not recorded: {body}", "code": 404}}
            self.say(200 if answer else 404, answer or missing)

    def stream(self, body: dict[str, Any], fault: Fault | None) -> None:
        if fault and fault.kind.isdigit():
            self.say(int(fault.kind), {"error": {"message": f"told to fail with {KEY}"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for count, event in enumerate(self.fake.edit(self.fake.recorded.events(body))):
            if fault and count == fault.after:
                self.fail(fault.kind)
                return
            self.send(event)

    def send(self, event: Any) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def fail(self, kind: str) -> None:
        if kind == "reset":
            reset(self.connection)
        elif kind == "hang":
            self.fake.closing.wait()
        elif kind == "error":
            self.send({"error": {"message": "Context size has been exceeded.", "code": 500}})
        elif kind == "garbage":
            self.wfile.write(b"data: {nothing of ours\n\n")
        else:
            assert kind == "close"
