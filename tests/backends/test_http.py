"""The connection to a server: whatever it sends is a JSON object or an error in one line."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import JSON, Reply, ScriptedServer, body, stream

from start_sdk import ModelError
from start_sdk.backends._failures import Failure, scheme_hint
from start_sdk.backends._http import DONE, Connection, ServerError
from start_sdk.backends._wire import EventStream

KEY = "sk-very-secret"


def events_of(*pieces: bytes) -> list[str]:
    source = EventStream()
    found = [event.data for piece in pieces for event in source.feed(piece)]
    return found + [event.data for event in source.end()]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    borders = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 10**6), max_size=8),
    st.booleans(),
)
@settings(max_examples=200)
def test_events_do_not_depend_on_where_the_bytes_are_cut(
    texts: list[str], end: str, places: list[int], last_line: bool
) -> None:
    datas = [json.dumps({"x": t}, indent=1, ensure_ascii=False) for t in texts]
    # Only the three line ends of the format separate lines, whatever else a text holds.
    events = [end.join([": ping", *(f"data: {line}" for line in d.split("\n"))]) for d in datas]
    data = "".join(event + end + end for event in events).encode()
    if not last_line:
        data = data.removesuffix(end.encode())
    assert events_of(*cut(data, places)) == datas


async def read(
    reply: Reply, timeout: float = 5.0, key: str | None = KEY
) -> tuple[list[Any], ServerError | None]:
    with ScriptedServer([reply]) as server:
        connection = Connection(server.url, key, timeout)
        found: list[Any] = []
        try:
            async for event in connection.events("/v1/x", {"stream": True}):
                found.append("DONE" if event is DONE else event)
        except ServerError as error:
            assert "\n" not in str(error) and KEY not in str(error) and KEY not in error.message
            return found, error
        finally:
            await connection.aclose()
    return found, None


def page(data: bytes, kind: str, **headers: str) -> Reply:
    return Reply([data], 200, {"Content-Type": kind, **headers})


GOOD = {
    "a stream": (stream({"a": 1}, "[DONE]"), [{"a": 1}, "DONE"]),
    "without an end": (stream({"a": 1}), [{"a": 1}]),
    "cut off": (Reply([b'data: {"a": 1}\n\ndata: {"a": "\xc3']), [{"a": 1}]),
    "the last blank line is missing": (Reply([b'data: {"a": 1}']), [{"a": 1}]),
    "a wrong content type": (page(b'data: {"a": 1}\n\n', "text/plain"), [{"a": 1}]),
    "called JSON": (page(b'data: {"a": 1}\n\n', "application/json"), [{"a": 1}]),
    "no stream but JSON": (page(b'{\n "a": [1,\n\n 2]\n}', "application/json"), [{"a": [1, 2]}]),
    "compressed": (
        page(gzip.compress(b'data: {"a": 1}\n\n'), "text/event-stream", **{"Content-Encoding": "gzip"}),
        [{"a": 1}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "expected"), GOOD.values(), ids=GOOD)
async def test_what_servers_send_is_read(reply: Reply, expected: list[Any]) -> None:
    assert await read(reply) == (expected, None)


BAD: dict[str, tuple[Reply, str, bool]] = {
    "a busy server": (body({"error": {"message": "busy"}}, 503), "answered 503: busy", True),
    "a wrong key": (body({"error": f"no {KEY}"}, 401), "rejects the API key", False),
    "an error in a 200": (body({"error": {"message": "no credit"}}), "failed: no credit", False),
    "with its own code": (body({"error": {"message": "x", "code": 429}}), "429: x", True),
    "no quota": (
        body({"error": {"message": "x", "code": "insufficient_quota"}}, 429), "429: x", False,
    ),
    "an event that is an error": (
        stream({"error": {"message": "gone", "type": "server_error"}}), "failed: gone", True,
    ),
    "named so": (Reply([b"event: error\ndata: out of memory\n\n"]), "failed: out of memory", False),
    "llama.cpp's older way": (Reply([b'error: {"code": 503, "message": "l"}\n\n']), "503: l", True),
    "FastAPI's way": (body({"detail": [{"loc": ["top_k"]}]}, 422), "top_k", False),
    "a page": (page(b"<html>\n\n<body>", "text/html"), "a web page: is the address right?", False),
    "a page as an error": (Reply([b"<html>"], 502, {"Content-Type": "text/html"}), "502", True),
    "nothing like JSON": (Reply([b"data: {nothing\n\n"]), "not send a JSON object", False),
    "a list": (Reply([b"data: [1]\n\n"]), "not send a JSON object", False),
    "deeper than Python": (Reply([b"data: " + b"[" * 99999 + b"\n\n"]), "JSON object", False),
    "no UTF-8": (Reply([b'data: {"a": "\xff"}\n\n']), "did not follow the protocol", False),
    "no gzip": (page(b"not gzip", "text/event-stream", **{"Content-Encoding": "gzip"}), "protocol", False),
    "a line without end": (Reply([b"data: "] + [b"x" * 2**20] * 9), "more than 8 MiB", False),
    "an event without end": (Reply([(b"data:" + b"x" * 2**20 + b"\n")] * 9), "8 MiB", False),
    "a text without end": (Reply([(b"x" * 2**20 + b"\n\n")] * 9), "8 MiB", False),
    "another host": (
        Reply([], 307, {"Location": f"http://u:{KEY}@localhost:1/v1/x?k={KEY}"}),
        "redirects to http://localhost:1/v1/x: if you trust it, pass that address", False,
    ),
    "another scheme": (Reply([], 301, {"Location": "https://127.0.0.1/"}), "redirects to", False),
    "in circles": (Reply([], 302, {"Location": "/v1/x"}), "redirects in a circle", False),
    "escapes": (body({"error": "\x1b[2J"}, 400), r"\x1b[2J", False),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "says", "transient"), BAD.values(), ids=BAD)
async def test_what_cannot_be_read_is_one_line(reply: Reply, says: str, transient: bool) -> None:
    found, error = await read(reply)
    assert error and says in str(error) and error.transient is transient and found == []


async def test_a_stream_of_comments_alone_ends() -> None:
    class Comments(list[bytes]):
        def __iter__(self) -> Any:
            while True:
                yield b": ping\n"

    _, error = await read(Reply(Comments()), timeout=0.05)
    assert error and "sends nothing" in str(error) and error.transient


async def test_a_redirect_on_the_same_server_is_followed_with_body_and_key() -> None:
    moved = Reply([], 307, {"Location": "/v2/x"})
    with ScriptedServer([moved, stream({"a": 1}, "[DONE]")]) as server:
        connection = Connection(server.url, KEY)
        assert [e async for e in connection.events("/v1/x", {"stream": True})] == [{"a": 1}, DONE]
        await connection.aclose()
    assert server.requests == [{"stream": True}] * 2
    assert server.headers[1]["authorization"] == f"Bearer {KEY}"


async def test_connections_are_used_again_and_closed_ones_are_not_an_end() -> None:
    with ScriptedServer([stream({"a": 1}, "[DONE]")]) as server:
        connection = Connection(server.url)
        for _ in range(3):
            assert [e async for e in connection.events("/x", {"stream": True})][-1] is DONE
        await connection.aclose()
        await connection.aclose()
    assert "authorization" not in server.headers[0]


def test_an_answer_that_trickles_counts_as_lost() -> None:
    class Slow(list[bytes]):
        def __iter__(self) -> Any:
            for _ in range(1000):
                time.sleep(0.01)
                yield b" "

    with ScriptedServer(answers=lambda *_: Reply(Slow(), headers=JSON)) as server:
        connection = Connection(server.url)
        with pytest.raises(ServerError, match="did not answer in time"):
            connection.ask("GET", "/x", timeout=0.1)
        asyncio.run(connection.aclose())


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": formatdate(NOW + 7, usegmt=True), "date": formatdate(NOW)}, 7.0),
        ({"retry-after": formatdate(NOW - 7, usegmt=True), "date": formatdate(NOW)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert Failure.read({}, 429, headers).retry_after == seconds


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000", "is not a valid address"),
        ("http://", "is not a valid address"),
        ("http://a:b/v1", "is not a valid address"),
        ("http://[::1/v1", "is not a valid address"),
        (f"http://me:{KEY}@there/v1", "pass api_key="),
        (f"http://there/v1?key={KEY}", "leave out what follows the path"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, says: str) -> None:
    with pytest.raises(ModelError) as error:
        Connection(url)
    assert says in str(error.value) and KEY not in str(error.value)


def test_a_server_without_encryption_is_suspected_where_none_can_be_agreed_on() -> None:
    with ScriptedServer() as server:
        connection = Connection(server.root.replace("http:", "https:"), timeout=2.0)
        with pytest.raises(ServerError, match=r"cannot be reached.*\(is it http://, without s\?\)"):
            connection.ask("GET", "/")
        connection.close()
    assert "http" not in scheme_hint("http://there", httpx2.ConnectTimeout(""))
    assert "http" in scheme_hint("https://there", httpx2.ConnectTimeout(""))
    assert not scheme_hint("https://there", ValueError("[SSL: CERTIFICATE_VERIFY_FAILED]"))


async def test_a_closed_connection_says_that_it_is_closed() -> None:
    connection = Connection("http://127.0.0.1:9")
    await connection.aclose()
    with pytest.raises(ServerError, match="the backend is closed") as error:
        connection.ask("GET", "/")
    assert not error.value.transient
    with pytest.raises(ServerError, match="the backend is closed"):
        await connection.post("/", {})


def test_a_key_that_no_header_can_hold_is_refused() -> None:
    with pytest.raises(ModelError, match="copied whole") as error:
        Connection("http://there", f"{KEY}\n{KEY}")
    assert KEY not in str(error.value)
