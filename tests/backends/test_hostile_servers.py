"""Servers that trickle, echo the key, or answer in shapes of their own: one line, and no hang."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import pytest
from llamacpp_server import FakeLlama
from openai_server import FakeServer
from scripted_server import DONE, Event, Reply, ScriptedServer, body, chat, stream, text

from start_sdk import BackendError, Sampling, StartError
from start_sdk.backends._http import Connection, ServerError
from start_sdk.backends._secret import Secret
from start_sdk.backends.llamacpp import LlamaCppBackend
from start_sdk.backends.openai import OpenAIBackend

KEY = "sk-very-secret/0123456789+abc"
PART = KEY[:12]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@contextmanager
def raw(head: bytes, drop: bytes = b"") -> Iterator[str]:
    """A server that answers with some bytes, and then with others, again and again."""
    closing = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            while drop and not closing.wait(0.01):
                connection.sendall(drop)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            closing.set()
            listening.shutdown(socket.SHUT_RDWR)


TRICKLES = {
    "headers": (HEAD + b"X: ", b"y"),
    "answers before the answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "compressed, and nothing yet": (
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:3] + b"\x08" + bytes(6), b"n"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("head", "drop"), TRICKLES.values(), ids=TRICKLES)
async def test_signs_of_life_without_progress_are_no_hang(head: bytes, drop: bytes) -> None:
    with raw(head, drop) as url:
        connection = Connection(url, timeout=0.05)
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(ServerError, match="did not answer in time") as error:
                await asyncio.wait_for(anext(connection.events("/x", {})), 5)
            assert error.value.transient
        with pytest.raises(ServerError, match="did not answer in time"):
            await asyncio.wait_for(asyncio.to_thread(connection.ask, "GET", "/x"), 5)
        assert time.monotonic() - began < 3
        await connection.aclose()


ECHOES = {
    "a status line": HEAD.replace(b"200 OK", b"2x " + KEY.encode()) + b"\r\n",
    "a header": HEAD + KEY.encode() + b" no: header\r\n\r\n",
    "a message that is cut": HEAD + b"\r\ndata: " + b"." * 65 + KEY.encode() + b"\n\n",
    "a redirect": (
        b"HTTP/1.1 307 T\r\nLocation: http://there/sk-very-secret%2F0123456789%2Babc\r\n\r\n"
    ),
}


@pytest.mark.parametrize("head", ECHOES.values(), ids=ECHOES)
async def test_a_key_that_comes_back_is_in_no_message_and_no_traceback(head: bytes) -> None:
    with raw(head) as url:
        connection = Connection(url, KEY, 2.0)
        with pytest.raises(ServerError) as error:
            await anext(connection.events("/x", {}))
        await connection.aclose()
    shown = "".join(traceback.format_exception(error.value))
    assert "***" in str(error.value) and PART not in shown


def test_a_key_is_hidden_whole_or_cut_and_short_words_stay() -> None:
    assert Secret(KEY).hidden(f"a {KEY} b {KEY[:20]}") == "a *** b ***"
    assert Secret("EMPTY").hidden("EMP EMPTY") == "EMP ***"
    assert Secret("").hidden("all") == "all"


async def failure_of(events: list[Event]) -> str:
    """The error that a stream of events ends in, with all its causes."""

    def answers(method: str, path: str, sent: Any) -> Reply | None:
        if path != "/v1/completions":
            return None
        return body({"choices": [{"text": "x", "token_ids": [1]}]})

    with ScriptedServer([stream(*events)], answers) as server:
        backend = OpenAIBackend("m", base_url=server.url, api_key=KEY, retry_seconds=0.0)
        async with aclosing(backend):
            with pytest.raises(BackendError) as error:
                async for _ in backend.generate([5], Sampling(temperature=0), max_tokens=9):
                    pass
    return "".join(traceback.format_exception(error.value))


async def test_a_key_among_the_ids_is_not_in_the_traceback_either() -> None:
    said = await failure_of([text("x", token_ids=[KEY])])
    assert "token ids are ['***']" in said and PART not in said


SHAPES: list[Any] = [
    {"errors": [{"message": "no credit"}]}, {"detail": "no credit"}, {"message": "no credit"},
    {"code": 50001, "msg": "no credit"}, {"success": False, "message": "no credit"},
    {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "no credit"}},
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_an_error_with_status_200_is_told_and_not_asked_for_again(shape: Any) -> None:
    with ScriptedServer([body(shape)]) as server:
        async with aclosing(OpenAIBackend("m", base_url=server.url, mode="chat")) as backend:
            prompt = backend.tokenizer.render([{"role": "user", "content": "Q"}])
            with pytest.raises(BackendError, match="no credit"):
                await anext(backend.generate(prompt, Sampling(), max_tokens=9))
    assert len(server.requests) == 1


async def test_progress_in_words_and_success_are_no_errors() -> None:
    events: list[Event] = [
        {"message": "queued"}, chat("h", None), chat(None, "4", "stop"),
        {"usage": {}, "base_resp": {"status_code": 0}}, DONE,
    ]  # fmt: skip
    assert await said_in_chat(events) == "<think>\nh\n</think>\n\n4"


async def said_in_chat(events: list[Event]) -> str:
    with ScriptedServer([stream(*events)]) as server:
        async with aclosing(OpenAIBackend("m", base_url=server.url, mode="chat")) as backend:
            prompt = backend.tokenizer.render([{"role": "user", "content": "Q"}])
            chunks = backend.generate(prompt, Sampling(temperature=0), max_tokens=99)
            return "".join([chunk.text async for chunk in chunks])


async def test_a_whole_message_after_its_parts_is_not_said_twice() -> None:
    whole = {"reasoning_content": "h", "content": "4"}
    last: Event = {"choices": [{"index": "0", "finish_reason": "stop", "message": whole}]}
    assert await said_in_chat([chat("h"), chat(None, "4"), last]) == "<think>\nh\n</think>\n\n4"
    assert await said_in_chat([{"choices": [{"message": whole}]}, DONE]) == (
        "<think>\nh\n</think>\n\n4"
    )


@pytest.mark.parametrize("value", [float("inf"), None, "x"], ids=str)
def test_what_llama_cpp_never_sends_at_set_up_is_one_line(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Connection.ask

    def ask(self: Connection, method: str, path: str, *args: Any, **options: Any) -> Any:
        return {"tokens": [value]} if path == "/tokenize" else asked(self, method, path, *args)

    monkeypatch.setattr(Connection, "ask", ask)
    with FakeLlama() as server, pytest.raises(StartError, match="did not follow the protocol"):
        LlamaCppBackend(server.url, retry_seconds=0.0)


@pytest.mark.parametrize("ids", [[-1], ["a"], [2**70], 5], ids=str)
def test_ids_of_a_prompt_that_are_none_are_another_tokenizer(
    ids: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(method: str, path: str, sent: Any) -> Reply | None:
        choice = {"text": "x", "token_ids": [1], "prompt_token_ids": ids}
        return body({"choices": [choice]}) if path == "/v1/completions" else None

    different = pytest.raises(StartError, match="uses a different tokenizer")
    with ScriptedServer([], answers) as server, different:
        OpenAIBackend("m", base_url=server.url)


async def test_set_up_that_fails_leaves_no_connection_open() -> None:
    with FakeServer(root="/nowhere/at/all", chat=None, returns_ids=True) as server:
        with pytest.raises(StartError):
            OpenAIBackend("tiny", base_url=server.url, mode="tokens")
        for _ in range(100):
            if not server._open:
                break
            await asyncio.sleep(0.01)
        assert not server._open
