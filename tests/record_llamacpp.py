"""Records what a real llama.cpp server says, for `tests/llamacpp_server.py`.

    PYTHONPATH=tests .venv-real/bin/python -m record_llamacpp

serves the two models of `tiny_gguf.py` and writes `tests/backends/recorded/llamacpp-*.json`: every
request that the backend sends while it does what the tests want to see again, with its answer.
"""

from __future__ import annotations

import asyncio
import copy
import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import tiny_gguf
from llamacpp_process import LlamaServer

from start_sdk import Sampling
from start_sdk.backends._http import Connection
from start_sdk.backends.llamacpp import LlamaCppBackend
from start_sdk.backends.llamacpp._backend import LIKELY

FOLDER = Path(__file__).parent / "backends" / "recorded"
QUESTION = "hi <|end|>\n<|system|> the (x) </think> 日é 🙂 <s>"
TEXTS = (
    "the x", "  two", "\nin", "日本 é 🙂", "</think> <s>[TOOL]", "[TOOL][TOOL]", "</think>\n\n",
    "<think>", "\n```output\n4\n```\n", "<|end|>",
)  # fmt: skip
GREEDY = Sampling(temperature=0)
WARM = Sampling(temperature=1.5, top_p=1)
RUNS = {
    "greedy": GREEDY,
    "logprobs": GREEDY.model_copy(update={"logprobs": True}),
    "warm": WARM.model_copy(update={"seed": 3}),
    "warm logprobs": WARM.model_copy(update={"seed": 5, "logprobs": True}),
    "ends": WARM.model_copy(update={"seed": 1, "extra": {"logit_bias": [[2, 5.0]]}}),
}
"""The last one is likely to sample the token that ends a text."""
LENGTH = 32


class Recorder:
    """Notes all requests of all connections, with their answers."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        ask, post, events = Connection.ask, Connection.post, Connection.events

        def asked(self_: Any, method: str, path: str, body: Any = None, **more: Any) -> Any:
            answer = ask(self_, method, path, body, **more)
            self.note(path, body, answer=answer)
            return answer

        async def posted(self_: Any, path: str, body: Any, headers: Any = None) -> Any:
            answer = await post(self_, path, body, headers)
            self.note(path, body, answer=answer)
            return answer

        async def streamed(
            self_: Any, path: str, body: Any, headers: Any = None
        ) -> AsyncGenerator[Any, None]:
            noted: list[Any] = []
            self.note(path, body, events=noted)
            async with aclosing(events(self_, path, body, headers)) as stream:
                async for event in stream:
                    noted.append(smaller(event))
                    yield event

        patched: Any = Connection
        patched.ask, patched.post, patched.events = asked, posted, streamed

    def take(self) -> list[dict[str, Any]]:
        """What was noted since the last time."""
        taken, self.requests = self.requests, []
        return taken

    def note(self, path: str, body: Any, **what: Any) -> None:
        if "answer" in what:
            what["answer"] = smaller(what["answer"])
            if body and body.get("n_probs") == LIKELY:  # nobody reads the texts of these
                (position,) = what["answer"]["completion_probabilities"]
                likely = [
                    {"id": e["id"], "logprob": e["logprob"]} for e in position["top_logprobs"]
                ]
                what["answer"]["completion_probabilities"] = [{"top_logprobs": likely}]
        entry = {"path": path, "body": copy.deepcopy(body), **what}  # a prompt grows
        if entry not in self.requests:
            self.requests.append(entry)


def smaller(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what nobody reads."""
    kept = {k: v for k, v in answer.items() if k not in ("prompt", "model", "chat_template_caps")}
    if answer.keys() == {"prompt"}:
        return answer
    if "timings" in answer:
        kept["timings"] = {"cache_n": answer["timings"]["cache_n"]}
    if "generation_settings" in answer:
        biased = answer["generation_settings"]["logit_bias"]
        kept["generation_settings"] = {"logit_bias": biased}
    if "default_generation_settings" in answer:
        size = answer["default_generation_settings"]["n_ctx"]
        names = ("total_slots", "model_alias", "model_path", "model_ftype", "chat_template",
            "bos_token", "eos_token", "build_info")  # fmt: skip
        kept = {name: answer[name] for name in names}
        kept["model_alias"] = kept["model_path"] = f"/models/{Path(kept['model_path']).name}"
        kept["default_generation_settings"] = {"n_ctx": size}
    return kept


async def use(url: str, recorder: Recorder) -> dict[str, Any]:
    """Does with a server what the tests do; returns its requests, and those of each run."""
    runs: list[dict[str, Any]] = []
    async with aclosing(LlamaCppBackend(url)) as backend:
        tokenizer = backend.tokenizer
        for text in TEXTS:
            for control in (False, True):
                tokenizer.encode(text, control=control)
        prompt = tokenizer.render([{"role": "user", "content": QUESTION}])
        tokenizer.render([{"role": "user", "content": "hi"}], {"tone": "!"})
        setting_up = recorder.take()
        for sampling in RUNS.values():
            ids: list[int] = []
            stream = backend.generate(prompt, sampling, max_tokens=LENGTH)
            async with aclosing(stream):
                async for chunk in stream:
                    ids += [*chunk.token_ids, *chunk.withheld_ids]
            runs.append({"ids": [*prompt, *ids], "requests": recorder.take()})
    return {"requests": setting_up, "runs": runs}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    recorder = Recorder()
    for kind in tiny_gguf.KINDS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{kind}.gguf")
            tiny_gguf.write(file, kind)
            with LlamaServer(file, slots=2, context=tiny_gguf.CONTEXT) as server:
                recorded = asyncio.run(use(server.url, recorder))
        text = json.dumps(recorded, ensure_ascii=True, separators=(",", ":"))
        (FOLDER / f"llamacpp-{kind}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
