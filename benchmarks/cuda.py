"""The transformers backend on a GPU: `python -m benchmarks.cuda --model runs/smollm2`.

Two checks with a real model, beside which the tests of the backend and `benchmarks.splice`, `.fork`
and `.batch` run on the GPU as they are:

- Greedy traces of 50 prompts, with a hint, a call and its output, on GPU and processor in float32.
  Limit: all ids are equal, or at the first difference the two likeliest tokens were nearly equal
  (less than 0.05 nats apart, as the processor sees it).
- 32 generations at once, one of them with a prefix of nearly the whole context, in memory that
  holds it alone but not in a batch with the others, then in memory that does not even do that.
  Torch runs out of memory each time (counted). Limits: the ids of the 31 others are those that they
  have without it; it itself waits and is done, and where it does not fit alone ends in a
  BackendError.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.agreement import CALCULATIONS, NEAR_TIE, gaps, traces
from start_sdk import BackendError, Sampling
from start_sdk.backends.transformers import TransformersBackend

ROWS = 32
SHORT, SAMPLED = 40, 64
"""Tokens of a short prefix, and tokens sampled after it."""
GREEDY = Sampling(temperature=0)
RESULT = Path(__file__).parent / "results" / "cuda.json"


async def parity(model: str, device: str) -> dict[str, Any]:
    found = {}
    for name in ("cpu", device):
        async with aclosing(TransformersBackend(model, device=name, dtype="float32")) as backend:
            found[name] = await traces(backend, CALCULATIONS)
    here, there = found.values()
    apart = gaps(model, there, here)
    return {
        "traces": len(here),
        "tokens": sum(len(t.token_ids) for t in here),
        "calls": sum(len(t.calls) for t in here),
        "equal": len(here) - len(apart),
        "gaps_at_differences": apart,
    }


async def one_too_many(model: str, device: str, fits: bool) -> dict[str, Any]:
    """31 short rows and a long one, with room for the long one beside them, or not even alone."""
    backend = TransformersBackend(
        model, device=device, dtype="float32", max_batch=ROWS, memory_mib=1 << 20
    )
    async with aclosing(backend):
        backend.tokenizer._eos_ids = frozenset()
        word = backend.tokenizer.encode(" so")
        short = [[*backend.tokenizer.encode(f"{n} and"), *word * SHORT] for n in range(ROWS - 1)]
        long = word * (backend.max_context - SAMPLED - 1)

        async def run(ids: list[int]) -> list[int]:
            found: list[int] = []
            async for chunk in backend.generate(ids, GREEDY, max_tokens=SAMPLED):
                found += chunk.token_ids
            return found

        wanted = await asyncio.gather(*map(run, short))
        await backend.reset_cache()
        alone = _bytes_of_cache(backend._engine._model.config, len(long))
        spare = alone * 2 if fits else alone // 2
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        before = torch.cuda.memory_stats(device)["num_ooms"]
        allowed = torch.cuda.max_memory_allocated(device) + spare
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        try:
            *others, last = await asyncio.gather(*map(run, [*short, long]), return_exceptions=True)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
    ended = "done" if isinstance(last, list) else f"{type(last).__name__}: {last}"[:120]
    return {
        "rows": ROWS,
        "tokens_of_the_long_row": len(long),
        "spare_mib": spare >> 20,
        "out_of_memory": torch.cuda.memory_stats(device)["num_ooms"] - before,
        "others_equal": sum(a == b for a, b in zip(others, wanted, strict=True)),
        "long_row": ended,
        "kept": others == list(wanted) and isinstance(last, list if fits else BackendError),
    }


def _bytes_of_cache(config: Any, tokens: int) -> int:
    """Keys and values of a row, in float32."""
    size = getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    return int(8 * config.num_hidden_layers * config.num_key_value_heads * size * tokens)


async def main(model: str, device: str) -> None:
    console = Console()
    card = torch.cuda.get_device_name() if device.startswith("cuda") else "no GPU"
    found: dict[str, Any] = {"device": card, "torch": torch.__version__, "limit": NEAR_TIE}
    found["parity"] = await parity(model, device)
    kept = all(g < NEAR_TIE for g in found["parity"]["gaps_at_differences"])
    console.print(card, found["parity"], "kept" if kept else "MISSED")
    if device.startswith("cuda"):
        found["one too many"] = [await one_too_many(model, device, fits) for fits in (True, False)]
        console.print(found["one too many"])
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="runs/smollm2", help="the folder of a model")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.model, arguments.device))
