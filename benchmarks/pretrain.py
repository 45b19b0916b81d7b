"""Training speed of the miniature, compared with its limits: `python -m benchmarks.pretrain`.

Measures, in one process and on one thread: a large float32 and a large bfloat16 matrix product (the
machine's rate), the training step of `recipes.tiny.pretrain` with both optimizers, and the training
step of transformers.Trainer on the same model with AdamW; Trainer gets its rows in advance, the
other two generate them while training. The matrix product's rate is the limit, Trainer the
reference. Finally, the loss of Muon + AdamW and of AdamW alone after the same number of tokens.

Trainer needs accelerate (`pip install accelerate`). The miniature is trained without it, because
its program must run with only torch and transformers installed.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoTokenizer, Trainer, TrainingArguments

from recipes.tiny.model import (
    Optimizers,
    Settings,
    adamw,
    build_model,
    build_optimizers,
    compiled_loss,
)
from recipes.tiny.pretrain import CONFIGS, State, batches, step
from start_sdk import models

RESULT = Path(__file__).parent / "results" / "pretrain.json"
SIZE = 1024


def matmul_rate(kind: torch.dtype) -> float:
    """Floating-point operations per second of a product of two large square matrices."""
    a, b = (torch.randn(SIZE, SIZE, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return float(2 * SIZE**3 / best)


def operations(settings: Settings, model: Any) -> float:
    """Floating-point operations per token of a step: 6 per weight, and the attention products."""
    return float(
        6 * model.num_parameters() + 12 * settings.layers * settings.hidden * settings.length
    )


class Plain:
    """The loop of `recipes.tiny.pretrain`, or the same with AdamW alone."""

    def __init__(self, settings: Settings, tokenizer: Any, *, muon: bool) -> None:
        self.settings = settings
        self.model = build_model(settings, tokenizer)
        self.optimizers = build_optimizers(self.model, settings)
        if not muon:
            alone = adamw(list(self.model.parameters()), settings.rate)
            self.optimizers = Optimizers((alone, settings.rate))
        self.loss_of = compiled_loss(self.model, "cpu", True, settings.bf16)
        self.state = State()
        self.stream = batches(settings, self.state, tokenizer)

    def run(self, steps: int) -> float:
        """Tokens per second over this many steps, including the generation of rows."""
        began = time.perf_counter()
        for _ in range(steps):
            step(
                self.settings, self.state, self.model, self.optimizers, self.loss_of,
                next(self.stream),
            )  # fmt: skip
        tokens = steps * self.settings.batch * self.settings.length
        return tokens / (time.perf_counter() - began)


def trainer_rate(settings: Settings, tokenizer: Any, steps: int) -> float:
    """Tokens per second of transformers.Trainer, compiled and with `bf16` like the plain loop."""
    logging.disable(logging.WARNING)
    model = build_model(settings, tokenizer)
    rows = batches(settings, State(), tokenizer)
    warm = 3
    data: Any = [
        {"input_ids": ids[:-1], "labels": ids[:-1]}
        for _ in range(steps + warm)
        for ids in next(rows)
    ]
    marks: list[float] = []

    class Timed(Trainer):
        """Records when each step begins."""

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            marks.append(time.perf_counter())
            return super().training_step(*args, **kwargs)

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=settings.batch,
            max_steps=steps + warm,
            bf16=settings.bf16,
            torch_compile=True,
            use_cpu=True,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        alone = adamw(list(model.parameters()), settings.rate)
        Timed(model, arguments, train_dataset=data, optimizers=(alone, None)).train()
    # The first steps compile.
    return (steps - 1) * settings.batch * settings.length / (marks[-1] - marks[warm])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=40, help="steps per measurement")
    parser.add_argument(
        "--curve", type=float, default=1.5, help="millions of tokens of the loss curves"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings.read(CONFIGS / "base.toml")
    tokenizer = AutoTokenizer.from_pretrained(models.folder(models.BASE))
    products = {"float32": matmul_rate(torch.float32), "bfloat16": matmul_rate(torch.bfloat16)}
    loops = {"Muon + AdamW": Plain(settings, tokenizer, muon=True)}
    loops["AdamW alone"] = Plain(settings, tokenizer, muon=False)
    for loop in loops.values():
        loop.run(3)  # compiles
    rates = {name: max(loop.run(args.steps) for _ in range(3)) for name, loop in loops.items()}
    rates["transformers.Trainer, AdamW"] = trainer_rate(settings, tokenizer, 3 * args.steps)
    losses = {name: curve(loop, args.curve) for name, loop in loops.items()}
    show(products, rates, operations(settings, loops["AdamW alone"].model), losses, args.curve)


def curve(loop: Plain, millions: float) -> float:
    """Mean loss of the last 50 steps, after this many million tokens."""
    while loop.state.tokens < millions * 1e6 or len(loop.state.losses) < 1:
        loop.run(50)
    return loop.state.losses[-1][2]


def show(
    products: dict[str, float],
    rates: dict[str, float],
    per_token: float,
    losses: dict[str, float],
    millions: float,
) -> None:
    """Prints the table and writes the result file."""
    peak = products["float32"]
    for kind, rate in products.items():
        print(f"{kind} product of {SIZE} x {SIZE}      {rate / 1e9:8.1f} GFLOP/s")
    for name, rate in rates.items():
        print(
            f"{name:32s} {rate:8,.0f} tokens/s  {rate * per_token / 1e9:6.1f} GFLOP/s, "
            f"{rate * per_token / peak:.0%} of the float32 product's rate"
        )
    for name, loss in losses.items():
        print(f"{name:32s} loss {loss:.3f} after {millions} million tokens")
    ratio = rates["AdamW alone"] / rates["transformers.Trainer, AdamW"]
    print(f"plain loop / Trainer, both AdamW: {ratio:.2f}")
    row = {
        "matmul_gflops": {k: round(v / 1e9, 1) for k, v in products.items()},
        "tokens_per_second": {k: round(v) for k, v in rates.items()},
        "share_of_float32_matmul": {k: round(v * per_token / peak, 3) for k, v in rates.items()},
        "loop_to_trainer": round(ratio, 3),
        "loss": {k: round(v, 4) for k, v in losses.items()},
        "loss_at_million_tokens": millions,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
