"""The cost of eight continuations of one prefix: `python -m benchmarks.fork [--repeats 7]`.

Eight sessions continue the same 2,000 tokens, all started together on an empty backend: one of
them reads the prefix, the others copy its cache. The reference is the unavoidable work: reading
the prefix once, and the eight continuations from existing caches. The model has random weights and
the embedded model's size. All variants take turns within one run, and ratios are computed per turn.

Limit: a ratio of 1.3.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.splice import random_model
from start_sdk import Sampling
from start_sdk.backends.transformers import TransformersBackend

LIMIT = 1.3
FORKS = 8
PREFIX = 2000
SAMPLED = 100
"""Tokens of each continuation."""
RESULT = Path(__file__).parent / "results" / "fork.json"


async def take(backend: TransformersBackend, ids: list[int], tokens: int, seed: int) -> int:
    """Samples tokens; returns how many tokens of the prefix were in a cache."""
    cached = 0
    async for chunk in backend.generate(
        ids, Sampling(seed=seed), max_tokens=tokens, key=f"fork {seed}"
    ):
        cached = chunk.cached or 0
    return cached


async def timed(backend: TransformersBackend, ids: list[int], forks: int, tokens: int) -> float:
    began = time.perf_counter()
    cached = await asyncio.gather(*(take(backend, ids, tokens, seed) for seed in range(forks)))
    assert sum(cached) >= (forks - 1) * (len(ids) - 1), cached
    return time.perf_counter() - began


async def turn(backend: TransformersBackend, ids: list[int]) -> dict[str, float]:
    await backend.reset_cache()
    prefill = await timed(backend, ids, 1, 1)
    await backend.reset_cache()
    forks = await timed(backend, ids, FORKS, SAMPLED)
    own = await timed(backend, ids, FORKS, SAMPLED)  # now each has its own cache
    return {"one prefill": prefill, "own tokens": own, "forks": forks}


async def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with TransformersBackend(random_model(Path(folder) / "random-weights")) as backend:
            backend.tokenizer._eos_ids = frozenset()
            ids = backend.tokenizer.encode("so " * PREFIX)[:PREFIX]
            assert len(ids) == PREFIX
            turns = [await turn(backend, ids) for _ in range(repeats + 1)][1:]
    ratio = statistics.median(t["forks"] / (t["one prefill"] + t["own tokens"]) for t in turns)
    seconds = {name: round(statistics.median(t[name] for t in turns), 4) for name in turns[0]}
    console = Console()
    console.print(f"{FORKS} continuations of {PREFIX} tokens, {SAMPLED} tokens each; seconds:")
    console.print(", ".join(f"{name} {value}" for name, value in seconds.items()))
    verdict = "kept" if ratio <= LIMIT else "MISSED"
    console.print(f"forks / (one prefill + own tokens): {ratio:.3f} (limit {LIMIT}): {verdict}")
    result = {"limit": LIMIT, "ratio": round(ratio, 3), "seconds": seconds}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=7)
    asyncio.run(main(parser.parse_args().repeats))
