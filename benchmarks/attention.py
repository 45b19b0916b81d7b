"""A decoding step with our attention and with torch's: `python -m benchmarks.attention`.

One forward pass of one new token per row, as the running batch makes it on a processor, on a model
with random weights in the shape of SmolLM2-135M (30 layers, 9 heads that share 3 of keys). One
thread. Both ways take turns within one run, and ratios are computed per turn, since machines are
noisy.

Limits: 1.3 times as fast with 32 rows, and not slower than 0.95 with one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig

from start_sdk.backends.transformers._attention import use_decode_attention

SHAPE = LlamaConfig(
    hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
    num_key_value_heads=3, vocab_size=49_152, max_position_embeddings=8192,
)  # fmt: skip
KEY_HEADS, WIDTH = 3, 64
"""Heads of keys, and the width of each."""
BATCHES = ((32, 200), (32, 1000), (1, 200))
"""Rows, and tokens that each has already."""
LIMITS = {32: 1.3, 1: 0.95}
RESULT = Path(__file__).parent / "results" / "attention.json"


def seconds(model: Any, rows: int, columns: int) -> float:
    """Of one step, its cache already there."""
    cache = DynamicCache(config=model.config)
    for layer in range(30):
        filled = torch.randn(rows, KEY_HEADS, columns, WIDTH).to(model.dtype)
        cache.update(filled, filled.clone(), layer)
    mask = torch.ones(rows, columns + 1, dtype=torch.bool)
    mask[1:, 0] = False  # rows are padded on the left, so torch cannot leave the mask out
    began = time.perf_counter()
    model(
        torch.ones(rows, 1, dtype=torch.long),
        attention_mask=mask,
        position_ids=torch.full((rows, 1), columns),
        past_key_values=cache,
    )
    return time.perf_counter() - began


def measure(dtype: torch.dtype, turns: int) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(SHAPE, dtype=dtype).eval()
    found = []
    for rows, columns in BATCHES:
        torchs: list[float] = []
        ours: list[float] = []
        for turn in range(turns * (1 if rows > 1 else 8) + 1):  # the first turn warms up
            for kept, choose in (
                (torchs, lambda: model.set_attn_implementation("sdpa")),
                (ours, lambda: use_decode_attention(model)),
            ):
                choose()
                elapsed = seconds(model, rows, columns)
                if turn:
                    kept.append(elapsed)
        ratio = statistics.median(a / b for a, b in zip(torchs, ours, strict=True))
        found.append(
            {
                "dtype": str(dtype).removeprefix("torch."),
                "rows": rows,
                "tokens": columns,
                "torch's ms": round(1000 * statistics.median(torchs)),
                "ours ms": round(1000 * statistics.median(ours)),
                "times as fast": round(ratio, 2),
            }
        )
    return found


def main(turns: int) -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        found = [*measure(torch.bfloat16, turns), *measure(torch.float32, turns)]
    table = Table(*found[0], title="One decoding step, SmolLM2-135M's shape, one thread")
    for row in found:
        table.add_row(*map(str, row.values()))
    console = Console()
    console.print(table)
    missed = [row for row in found if row["times as fast"] < LIMITS[row["rows"]]]
    console.print("limits kept" if not missed else f"MISSED: {missed}")
    RESULT.write_text(json.dumps({"limits": LIMITS, "rows": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=5)
    main(parser.parse_args().turns)
