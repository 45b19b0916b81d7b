"""A small OpenAI-compatible server on a loopback socket, with faults on request.

Its model is a rule: the next token is a hash of all that stands before it. So one token that is
lost or doubled changes everything behind it.

It can be run by itself, for example to see what `start-sdk check-backend` says about a server that
only exchanges text, or one that only chats and cannot continue a message:

    python -m tests.openai_server --kind text --port 8001
    python -m tests.openai_server --kind chat --port 8002
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from start_sdk import models
from start_sdk.backends.tokenizer import HFTokenizer, load_tokenizer

ROOT = str(models.folder("start-tiny-base"))
KEY = "sk-very-secret"


Continues = Literal["continue_final_message", "prefix", "prefill", "never"]
WORDS = "one, two, three, four, five, six"
THOUGHT, ANSWER = "I think. ", "It is 4. "


@dataclass
class Fault:
    """What goes wrong with one request, after some tokens."""

    kind: str
    """A status ("429"), "reset", "close", "hang", "abort", "error" or "garbage"."""
    after: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class FakeServer:
    """Use it as a context; `url` is its address.

    Args:
        returns_ids: whether it knows `return_token_ids`, as vLLM does.
        faults: one for each streamed request, in order; then all is well.
        wants_key: answers 401 without the key.
        length: tokens after which the rule ends a generation, counted from the first prompt.
        completions: whether it has `/completions`.
        chat: how it continues an assistant's message; None if it has no chats.
        refuses: fields that it answers with status 400.
        thinks_in: the field of a chat that holds the thought, "content" for tags in the content.
    """

    def __init__(
        self,
        *,
        returns_ids: bool = True,
        faults: Sequence[Fault] = (),
        wants_key: bool = False,
        length: int = 10**9,
        served: Sequence[str] = ("tiny",),
        root: str = ROOT,
        port: int = 0,
        completions: bool = True,
        chat: Continues | None = "continue_final_message",
        refuses: Sequence[str] = (),
        thinks_in: str = "reasoning_content",
    ) -> None:
        self.returns_ids = returns_ids
        self.completions = completions
        self.chat = chat
        self.refuses = refuses
        self.thinks_in = thinks_in
        self.probes: list[dict[str, Any]] = []
        self.faults = list(faults)
        self.wants_key = wants_key
        self.length = length
        self.served = served
        self.root = root
        self.tokenizer: HFTokenizer = load_tokenizer("start-tiny-base")
        self.words = self.tokenizer.encode(" two plus three is five, so wait.")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.resets = 0
        self.gone = threading.Event()
        """A client left before its stream was over."""
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        handler = type("Handler", (Handler,), {"fake": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """As a process that is killed: all connections are reset."""
        if not self.closing.is_set():
            self.closing.set()
            self._http.shutdown()
            self._thread.join()
            for connection in list(self._open):
                reset(connection)
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._http.server_close()

    def next_id(self, ids: Sequence[int]) -> int:
        return self.words[zlib.crc32(json.dumps(list(ids)).encode()) % len(self.words)]

    def next_text(self, text: str) -> str:
        return f" {['two', 'plus', 'three', 'is', 'five', 'so', 'wait'][zlib.crc32(text.encode()) % 7]}"

    def continuation(self, ids: Sequence[int], count: int) -> list[int]:
        """What an unbroken generation gives."""
        sampled: list[int] = []
        for _ in range(count):
            sampled.append(self.next_id([*ids, *sampled]))
        return sampled

    def text_continuation(self, text: str, count: int) -> str:
        said = ""
        for _ in range(count):
            said += self.next_text(text + said)
        return said


def reset(connection: socket.socket) -> None:
    """Has a connection closed with an RST, as a kernel does for a process that was killed."""
    with suppress(OSError):  # it was closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def setup(self) -> None:
        super().setup()
        self.fake._open.add(self.connection)

    def finish(self) -> None:
        self.fake._open.discard(self.connection)
        with suppress(OSError):  # it was reset
            super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.fake.gone.set()

    def log_message(self, *_: Any) -> None: ...

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refused(self) -> bool:
        said = self.headers.get("authorization", "")
        if self.fake.wants_key and said != f"Bearer {KEY}":
            self.answer(401, {"error": {"message": f"no such key: {said}"}})
            return True
        return False

    def do_GET(self) -> None:
        if self.refused():
            return
        if self.path != "/v1/models":
            self.answer(404, {"error": {"message": "Not Found"}})
            return
        cards = [{"id": n, "root": self.fake.root, "max_model_len": 2048} for n in self.fake.served]
        self.answer(200, {"object": "list", "data": cards})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        if self.refused():
            return
        if self.path == "/reset_prefix_cache":
            self.fake.resets += 1
            self.answer(200, {})
        elif not self.exists():
            self.answer(404, {"error": {"message": "Not Found"}})
        elif refused := next((f for f in self.fake.refuses if f in body), None):
            message = f"Unsupported parameter: '{refused}' is not supported with this model."
            if refused == "max_tokens":
                message += " Use 'max_completion_tokens' instead."
            self.answer(400, {"error": {"message": message, "param": refused}})
        elif body.get("stream"):
            self.fake.requests.append(body)
            self.fake.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.stream(body, self.fake.faults.pop(0) if self.fake.faults else None)
        else:
            self.fake.probes.append(body)
            self.tell(body)

    def exists(self) -> bool:
        chats = self.path == "/v1/chat/completions" and self.fake.chat is not None
        return chats or (self.path == "/v1/completions" and self.fake.completions)

    def tell(self, body: dict[str, Any]) -> None:
        """Answers at once: the questions about what the server can do."""
        if "messages" in body:
            events = [*chat_choices(self.fake, body)]
            message: dict[str, str] = {}
            for event in events[: body.get("max_tokens") or body.get("max_completion_tokens")]:
                for name, text in event["delta"].items():
                    message[name] = message.get(name, "") + text
            self.answer(200, {"choices": [{"index": 0, "message": message}]})
        elif not self.fake.returns_ids and "return_token_ids" in body:
            self.answer(400, {"error": {"message": "unknown field"}})
        elif not self.fake.returns_ids:
            self.answer(200, {"choices": [{"text": "x", "index": 0}]})
        else:
            ids = self.fake.tokenizer.encode(body["prompt"])
            choice = {"text": "x", "index": 0, "token_ids": [1], "prompt_token_ids": ids}
            choice["logprobs"] = {"token_logprobs": [-0.5]}
            self.answer(200, {"choices": [choice]})

    def stream(self, body: dict[str, Any], fault: Fault | None) -> None:
        if fault and fault.kind.isdigit():
            error = {"error": {"message": f"told to fail with {KEY}"}}
            self.answer(int(fault.kind), error, fault.headers)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for count, choice in enumerate(choices(self.fake, body, "chat" in self.path)):
            if fault and count == fault.after:
                self.fail(fault.kind)
                return
            self.event({"choices": [{"index": 0, **choice}]})
        blocks = len(body.get("prompt", "")) // 16 * 16
        usage = {"prompt_tokens": 0, "prompt_tokens_details": {"cached_tokens": blocks}}
        self.event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, body: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())

    def fail(self, kind: str) -> None:
        if kind == "reset":
            reset(self.connection)
        elif kind == "hang":
            self.fake.closing.wait()
            reset(self.connection)
        elif kind == "abort":
            self.event({"choices": [{"index": 0, "text": "", "finish_reason": "abort"}]})
        elif kind == "error":
            self.event({"error": {"message": "the engine died", "code": 500}})
        elif kind == "garbage":
            self.wfile.write(b"data: {nothing of ours\n\n")
        else:
            assert kind == "close"


def choices(server: FakeServer, body: dict[str, Any], chat: bool) -> Iterator[dict[str, Any]]:
    """The events of an unbroken stream."""
    if chat:
        yield from chat_choices(server, body)
        return
    prompt, said = body["prompt"], 0
    while True:
        ended = said + 1 >= body["max_tokens"]
        finish = "length" if ended else None
        if isinstance(prompt, str):
            text = server.next_text(prompt)
            prompt += text
            choice: dict[str, Any] = {"text": text}
        else:
            eos = len(prompt) >= server.length
            token = body["stop_token_ids"][-1] if eos else server.next_id(prompt)
            finish = "stop" if eos else finish
            prompt = [*prompt, token]
            choice = {"text": "", "token_ids": [token]}
            if "logprobs" in body:
                choice["logprobs"] = {"token_logprobs": [-1.0 / len(prompt)]}
        said += 1
        yield {**choice, "finish_reason": finish}
        if finish:
            return


def chat_choices(server: FakeServer, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Thinks in a field of its own, then answers; continues a message only as it was made to."""
    *_, last = body["messages"]
    written = last["content"] if last["role"] == "assistant" else ""
    if not continues(server, body, last):
        written = ""
    if "these words" in body["messages"][0]["content"]:
        thought, answer = WORDS, "ok"
    else:
        thought, answer = THOUGHT, ANSWER
    within = server.thinks_in == "content"
    texts = [
        (server.thinks_in, f"<think>\n{thought}\n</think>\n\n" if within else thought),
        ("content", answer),
    ]
    for name, text in texts:
        for word in re.findall(r"\S+\s*|\s+", text):
            if word.strip() and word.strip(" ,") not in written:
                yield {"delta": {name: word}, "finish_reason": None}
            elif word.strip() and written.endswith(word.strip(" ,")) and "," in word:
                yield {"delta": {name: ", "}, "finish_reason": None}
    yield {"delta": {}, "finish_reason": "stop"}


def continues(server: FakeServer, body: dict[str, Any], last: dict[str, Any]) -> bool:
    if last["role"] != "assistant":
        return False
    if server.chat == "continue_final_message":
        return bool(body.get("continue_final_message")) and not body["add_generation_prompt"]
    return server.chat == "prefill" or (server.chat == "prefix" and bool(last.get("prefix")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["text", "chat"], required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    chats = options.kind == "chat"
    with FakeServer(
        returns_ids=False,
        completions=not chats,
        chat="never" if chats else None,
        served=[f"{options.kind}-only"],
        root=f"{options.kind}-only",
        port=options.port,
    ) as server:
        print(server.url, flush=True)
        with suppress(KeyboardInterrupt):
            server.closing.wait()


if __name__ == "__main__":
    main()
