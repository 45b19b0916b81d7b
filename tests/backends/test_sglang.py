"""The sglang backend against a fake that answers as SGLang's documentation says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from openai_server import KEY, FakeServer, Fault, Handler
from typing_extensions import override

from start_sdk import BackendError, ModelError, Sampling
from start_sdk.backends.sglang import SGLangBackend
from start_sdk.testing import check_backend

GREEDY = Sampling(temperature=0)


class SGLang(FakeServer):
    """`/generate` over the rule of the fake server; ids come all so far, or only the new ones."""

    incremental = False
    ends: dict[str, Any] | None = None

    def outputs(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        ids: list[int] = []
        prompt, limit = body["input_ids"], body["sampling_params"]["max_new_tokens"]
        while len(ids) < limit:
            ids += self.continuation([*prompt, *ids], min(2, limit - len(ids)))
            told = ids[-2:] if self.incremental else ids
            meta: dict[str, Any] = {"completion_tokens": len(ids), "cached_tokens": len(prompt)}
            meta["finish_reason"] = {"type": "length"} if len(ids) == limit else self.ends
            if body["return_logprob"]:
                meta["output_token_logprobs"] = [[-i / 10**6, i, None] for i in told]
            yield {"text": "", "output_ids": told, "meta_info": meta}


class Native(Handler):
    @override
    def do_GET(self) -> None:
        fake = self.fake
        if self.path == "/get_model_info" and not self.refused():
            self.answer(200, {"model_path": fake.root, "tokenizer_path": fake.root})
        else:
            super().do_GET()

    @override
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        if self.refused():
            return
        if self.path == "/flush_cache":
            self.fake.resets += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"Cache flushed.\n")
            return
        assert self.path == "/generate" and body["stream"]
        assert isinstance(self.fake, SGLang)
        self.fake.requests.append(body)
        fault = self.fake.faults.pop(0) if self.fake.faults else None
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for count, event in enumerate(self.fake.outputs(body)):
            if fault and count == fault.after:
                self.fail(fault.kind)
                return
            self.event(event)
        self.wfile.write(b"data: [DONE]\n\n")


def fake(**options: Any) -> SGLang:
    server = SGLang(**options)
    server._http.RequestHandlerClass = type("Native", (Native,), {"fake": server})
    return server


async def sampled(backend: SGLangBackend, n: int, sampling: Sampling = GREEDY) -> Any:
    """The prompt, the sampled ids, their log probabilities, and the last chunk."""
    prompt = backend.tokenizer.render([{"role": "user", "content": "What is 12 * 7?"}])
    async with aclosing(backend.generate(prompt, sampling, max_tokens=n, key="s")) as stream:
        chunks = [chunk async for chunk in stream]
    ids = [i for chunk in chunks for i in chunk.token_ids]
    return prompt, ids, [p for chunk in chunks for p in chunk.logprobs or ()], chunks[-1]


@pytest.mark.parametrize("incremental", [False, True])
async def test_it_meets_the_backend_contract(incremental: bool) -> None:
    with fake() as server:
        server.incremental = incremental
        async with aclosing(SGLangBackend(server.url)) as backend:
            assert [c for c in await check_backend(backend) if c.required and not c.ok] == []


async def test_ids_go_in_and_out_and_no_default_of_the_server_applies() -> None:
    with fake() as server:
        async with aclosing(SGLangBackend(server.url)) as backend:
            sampling = GREEDY.model_copy(update={"logprobs": True})
            prompt, ids, logprobs, last = await sampled(backend, 9, sampling)
            assert ids == server.continuation(prompt, 9) and last.reason == "length"
            assert logprobs == [-i / 10**6 for i in ids] and last.cached == len(prompt)
            await backend.reset_cache()
    assert server.resets == 1
    (request,) = server.requests
    assert request["input_ids"] == prompt
    parameters = request["sampling_params"]
    assert parameters["ignore_eos"] is True and parameters["top_k"] == -1


@pytest.mark.parametrize("kind", ["close", "reset"])
@pytest.mark.parametrize("incremental", [False, True])
async def test_a_broken_stream_goes_on_after_the_last_token(kind: str, incremental: bool) -> None:
    with fake(faults=[Fault(kind, 3), Fault(kind, 0)]) as server:
        server.incremental = incremental
        async with aclosing(SGLangBackend(server.url)) as backend:
            prompt, ids, _, _ = await sampled(backend, 20)
            assert ids == server.continuation(prompt, 20)


async def test_a_server_that_stops_by_itself_is_one_line() -> None:
    with fake() as server:
        server.ends = {"type": "stop", "matched": 7}
        async with aclosing(SGLangBackend(server.url)) as backend:
            with pytest.raises(BackendError, match="stopped by itself"):
                await sampled(backend, 20)


def meta(**more: Any) -> dict[str, Any]:
    return {"output_ids": [1], "meta_info": {"completion_tokens": 1, **more}}


ODD: dict[str, Any] = {
    "a list": {"output_ids": [1], "meta_info": [1]},
    "a reason in a word": meta(finish_reason="stop"),
    "a negative id": {**meta(), "output_ids": [-1]},
    "an infinite id": {**meta(), "output_ids": [float("inf")]},
    "no log probability": meta(output_token_logprobs=[[float("nan"), 1, None]]),
}


@pytest.mark.parametrize("event", ODD.values(), ids=ODD)
async def test_what_sglang_never_sends_is_one_line(
    event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SGLang, "outputs", lambda *_: iter([event]))
    with fake() as server:
        async with aclosing(SGLangBackend(server.url, retry_seconds=0.0)) as backend:
            with pytest.raises(BackendError, match="did not follow the protocol"):
                async for _ in backend.generate([5], Sampling(logprobs=True), max_tokens=9):
                    pass


def test_another_server_and_a_wrong_key_are_one_line() -> None:
    with FakeServer() as server, pytest.raises(ModelError, match="is no server of SGLang"):
        SGLangBackend(server.url)
    with fake(wants_key=True) as server:
        SGLangBackend(server.url, api_key=KEY)
        with pytest.raises(ModelError, match="rejects the API key"):
            SGLangBackend(server.url, api_key="wrong")
