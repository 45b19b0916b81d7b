"""What sessions cost each engine: `python -m benchmarks.engines transformers --model runs/smollm2`.

32 sessions at once, on a real model, each with one call whose cell takes 20 ms and no CPU, against
the engine alone on the same 32 prompts with the same number of sampled tokens and no call. Greedy,
one thread, end-of-sequence tokens ignored. Both take turns within one run, and ratios are computed
per turn, since machines are noisy.

- `transformers` against the library's `generate` on a left-padded batch, in bfloat16. Limit: 0.85.
- `llamacpp` against its own continuous batching: 32 requests to `/completion`, without a stream.
  `--model` is the address of a server with 32 slots (`benchmarks.llama_server --slots 32`).
  Limit: 0.9, of one call in 512 tokens (`--tokens 512`).
- `vllm`, in the environment of `make test-vllm`, against `AsyncLLM`. No limit here: see
  `benchmarks.throughput`.

A call and its output are 24 tokens more that an engine has to read, so the ratio is lower for
shorter thoughts. Each result is added to the same file.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.batch import CALL, FORMAT, PROMPTS, Calling, Idle, library_attention
from start_sdk import Backend, Delta, Limits, ReasoningSession, Sampling, open_backend

LIMITS = {"transformers": 0.85, "llamacpp": 0.9, "vllm": None}
OPTIONS: dict[str, dict[str, Any]] = {
    "transformers": {"device": "cpu", "dtype": "bfloat16", "threads": 1},
    "vllm": {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 2048},
    "llamacpp": {},
}
RESULT = Path(__file__).parent / "results" / "engines.json"


def prompts(backend: Backend) -> list[list[int]]:
    return [backend.tokenizer.render([{"role": "user", "content": p}]) for p in PROMPTS]


async def sessions(backend: Backend, sampling: Sampling, tokens: int) -> None:
    """All sessions at once, each with a call somewhere in its middle third. They end after so many
    tokens, as a caller ends them, so that nothing follows."""
    call = len(backend.tokenizer.encode(CALL))
    limits = Limits(max_tokens=1500, max_repeats=None)  # never reached

    async def one(number: int) -> None:
        before = tokens // 3 + number * tokens // (3 * len(PROMPTS))
        calling: Any = Calling(backend, [before])  # type: ignore[arg-type]
        session = ReasoningSession(
            calling, interpreter=Idle(), limits=limits, sampling=sampling, format=FORMAT
        )
        count = calls = 0
        async with aclosing(session.stream(PROMPTS[number])) as run:
            async for event in run:
                if isinstance(event, Delta):
                    count += len(event.token_ids)
                else:
                    calls += event.source == "tool"
                if count >= tokens + call:
                    break
        assert (count >= tokens + call, calls) == (True, 1)

    await asyncio.gather(*map(one, range(len(PROMPTS))))


def generate(backend: Any, tokens: int) -> None:
    """The library's `generate` on one batch."""
    import torch
    from transformers import GenerationConfig

    rows, model = prompts(backend), backend._engine._model
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    make: Any = GenerationConfig
    config = make(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    config.eos_token_id = 1 << 30  # no token: None would be filled in from the model
    with torch.inference_mode(), library_attention(model):
        out = model.generate(ids, attention_mask=mask, generation_config=config)
    assert out.shape == (len(rows), longest + tokens)


async def in_a_thread(backend: Any, tokens: int) -> None:
    await asyncio.to_thread(generate, backend, tokens)


async def completions(backend: Backend, url: str, tokens: int) -> None:
    """llama.cpp's own continuous batching."""
    from httpx2 import AsyncClient

    async with AsyncClient(base_url=url.removesuffix("/v1"), timeout=600) as client:

        async def one(ids: list[int]) -> None:
            body = {"prompt": ids, "n_predict": tokens, "temperature": 0.0, "ignore_eos": True}
            answer = (await client.post("/completion", json=body)).json()
            assert answer["tokens_predicted"] == tokens, answer

        await asyncio.gather(*map(one, prompts(backend)))


async def outputs(backend: Any, tokens: int) -> None:
    """vLLM's engine."""
    from vllm import SamplingParams
    from vllm.inputs import tokens_input

    async def one(ids: list[int], name: str) -> None:
        params = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True)
        async for out in backend._open.generate(tokens_input(ids), params, name):
            last = out
        assert len(last.outputs[0].token_ids) == tokens

    stamp = time.time_ns()
    await asyncio.gather(*(one(ids, f"{stamp}-{i}") for i, ids in enumerate(prompts(backend))))


def variants(
    engine: str, backend: Any, model: str, tokens: int
) -> dict[str, Callable[[], Awaitable[None]]]:
    sampling = Sampling(temperature=0)
    alone: Callable[[], Awaitable[None]]
    if engine == "llamacpp":
        sampling = Sampling(temperature=0, extra={"ignore_eos": True})
        alone = partial(completions, backend, model, tokens)
    else:
        backend.tokenizer._eos_ids = frozenset()
        alone = partial(in_a_thread, backend, tokens)
        if engine == "vllm":
            alone = partial(outputs, backend, tokens)
    return {"alone": alone, "sessions": partial(sessions, backend, sampling, tokens)}


async def main(engine: str, model: str, tokens: int, repeats: int) -> None:
    seconds: dict[str, list[float]] = {"alone": [], "sessions": []}
    async with aclosing(open_backend(model, engine, **OPTIONS[engine])) as backend:
        if engine == "transformers":
            import torch

            torch.set_num_threads(1)  # of `generate`, which runs on a thread of its own
        runs = variants(engine, backend, model, tokens)
        for run in variants(engine, backend, model, 8).values():  # warms up
            await run()
        for _ in range(repeats):
            for name, run in runs.items():
                began = time.perf_counter()
                await run()
                seconds[name].append(time.perf_counter() - began)
        note = backend.capabilities.note
    ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
    sampled = len(PROMPTS) * tokens
    speed = {name: round(sampled / statistics.median(times), 1) for name, times in seconds.items()}
    limit = LIMITS[engine]
    verdict = "no limit"
    if limit is not None:
        verdict = f"limit {limit}: {'kept' if ratio >= limit else 'MISSED'}"
    console = Console()
    console.print(f"{engine} ({note}), {len(PROMPTS)} at once, {tokens} tokens each, tokens/s:")
    console.print(f"{speed}; sessions / alone {ratio:.3f} ({verdict})")
    found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    row = {"note": note, "tokens_per_second": speed, "ratio": round(ratio, 3), "limit": limit}
    found[f"{engine}, {tokens} tokens"] = row
    RESULT.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("engine", choices=LIMITS)
    parser.add_argument("--model", default="runs/smollm2", help="a folder; a server's address")
    parser.add_argument("--tokens", type=int, default=256, help="sampled by each session")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    asyncio.run(main(options.engine, options.model, options.tokens, options.repeats))
