"""Sessions over what real servers sent (`recorded/record.py`): the same requests, the same trace."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from recorded_session import QUESTION, session
from scripted_server import Reply, ScriptedServer, body, stream

from start_sdk import models, verify_trace
from start_sdk.backends.openai import OpenAIBackend

NAMES = ("vllm-tokens", "vllm-text", "vllm-chat", "llamacpp-text", "llamacpp-chat")


@pytest.mark.parametrize("pieces", [23, 10**6], ids=["in pieces", "whole"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_recorded_session_comes_out_as_it_was(name: str, pieces: int) -> None:
    path = Path(__file__).parent / "recorded" / f"{name}.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    streams: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    for exchange in recorded["exchanges"]:
        (streams if "events" in exchange else asked).append(exchange)

    def answers(method: str, path: str, sent: Any) -> Reply:
        exchange = asked.pop(0)
        assert (exchange["method"], exchange["path"], exchange["body"]) == (method, path, sent)
        answer = exchange["answer"]
        if path == "/v1/models" and "vllm" in name:
            answer["data"][0]["root"] = str(models.folder("start-tiny-base"))
        return body(answer, exchange["status"])

    def cut(reply: Reply) -> Reply:
        data = b"".join(reply.pieces)
        return Reply([data[i : i + pieces] for i in range(0, len(data), pieces)])

    replies = [cut(stream(*exchange["events"])) for exchange in streams]
    with ScriptedServer(replies, answers) as server:
        backend = OpenAIBackend(server.root, mode=recorded["mode"], tokenizer=recorded["tokenizer"])
        async with aclosing(backend):
            trace = await session(backend).run(QUESTION)
            verify_trace(trace, backend.tokenizer)
    told = {"text": trace.text, "finish": trace.finish, "answer": trace.answer}
    assert (told, backend.capabilities.note) == (recorded["trace"], recorded["note"])
    assert server.requests == [exchange["body"] for exchange in streams]
    assert trace.exact is (recorded["mode"] is None)
