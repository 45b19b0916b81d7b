"""A server that sends scripted bytes, one at a time if need be, whatever the request.

Questions about what it can do (everything that is not streamed) are answered by `answers`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from start_sdk import models

DONE = "[DONE]"
STREAM = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}
CARD = {"id": "m", "root": str(models.folder("start-tiny-base")), "max_model_len": 2048}

Event = dict[str, Any] | str


@dataclass(frozen=True)
class Reply:
    """An answer: its pieces are sent one by one."""

    pieces: Sequence[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: STREAM)


def stream(*events: Event) -> Reply:
    """Server-sent events; a text is sent as it is."""
    texts = (e if isinstance(e, str) else json.dumps(e) for e in events)
    return Reply([f"data: {text}\n\n".encode() for text in texts])


def body(value: Any, status: int = 200, **headers: str) -> Reply:
    """An answer that is no stream."""
    return Reply([json.dumps(value).encode()], status, {**JSON, **headers})


def chat(
    thought: str | None = None, content: str | None = None, finish: str | None = None
) -> Event:
    """An event of a chat."""
    delta = {"reasoning_content": thought, "content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def text(said: str, finish: str | None = None, **more: Any) -> Event:
    """An event of a completion."""
    return {"choices": [{"index": 0, "text": said, "finish_reason": finish, **more}]}


class ScriptedServer:
    """Use it as a context; `url` is its address.

    Args:
        replies: one for each streamed request, in order; the last one again and again.
        answers: maps method, path and body of any other request to its answer; None is a 404.

    Attributes:
        requests: the bodies of the streamed requests.
        questions: path and body of the others.
        headers: of all requests.
    """

    def __init__(
        self,
        replies: Sequence[Reply] = (),
        answers: Callable[[str, str, Any], Reply | None] = lambda *_: None,
    ) -> None:
        self.replies = list(replies)
        self.answers = answers
        self.requests: list[dict[str, Any]] = []
        self.questions: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        handler = type("Handler", (_Handler,), {"server_": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.root = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def reply(self, method: str, path: str, sent: Any) -> Reply:
        if isinstance(sent, dict) and sent.get("stream"):
            self.requests.append(sent)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.questions.append((path, sent))
        found = self.answers(method, path, sent)
        if found is None and path == "/v1/models":
            found = body({"object": "list", "data": [CARD]})
        if found is None and path == "/v1/chat/completions":  # it continues nothing
            found = body({"choices": [{"index": 0, "message": {"content": "ok"}}]})
        return found or body({"error": {"message": "Not Found"}}, 404)


class _Handler(BaseHTTPRequestHandler):
    server_: ScriptedServer
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None: ...

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server_.headers.append({k.lower(): v for k, v in self.headers.items()})
        reply = self.server_.reply(self.command, self.path, json.loads(data) if data else None)
        with suppress(OSError):  # the client left
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in reply.pieces:
                self.wfile.write(piece)
                self.wfile.flush()

    def do_GET(self) -> None:
        self.do_POST()
