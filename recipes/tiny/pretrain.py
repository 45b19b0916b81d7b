"""Pre-trains the miniature base model from scratch: `python -m recipes.tiny.pretrain --help`.

One plain loop for CPU and CUDA. The run folder holds a checkpoint, written every minute and at
Ctrl-C; the same command started again goes on from it, and with more --minutes it lengthens the
run. The model folder is ready to load at every checkpoint.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from recipes.tiny.scope import write_scope
from recipes.tiny.text import make_document
from recipes.tiny.tokenizer import train_tokenizer

#: Documents with numbers below this are left to the tokenizer's training and to tests.
FIRST_DOCUMENT = 100_000


@dataclass(frozen=True)
class Settings:
    """What makes a run; a checkpoint of other settings is refused."""

    minutes: float
    seed: int
    hidden: int
    layers: int
    length: int
    batch: int
    rate: float
    bf16: bool

    def progress(self, seconds: float) -> float:
        """Share of the run that is done, 0 to 1, by the time spent training."""
        return min(1.0, seconds / (60 * self.minutes))

    def rate_at(self, step: int, seconds: float) -> float:
        """Learning rate: 100 steps of warm-up, then a cosine down to a fiftieth."""
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress(seconds)))
        return self.rate * min(1.0, (step + 1) / 100) * (0.98 * cosine + 0.02)


@dataclass
class State:
    """Where a run stands."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    document: int = FIRST_DOCUMENT
    buffer: list[int] = field(default_factory=list)
    losses: list[tuple[int, float, float]] = field(default_factory=list)  # tokens, seconds, loss


def build_model(settings: Settings, tokenizer: Any) -> Any:
    """A Qwen3 model with random weights, sized by the settings."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(settings.seed)
    heads = settings.hidden // 32
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=settings.hidden * 11 // 4 // 32 * 32,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=32,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = Qwen3ForCausalLM(config)  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def batches(settings: Settings, state: State, tokenizer: Any) -> Iterator[torch.Tensor]:
    """Packed rows of `length` + 1 ids; `state` follows along, so that a run can go on."""
    rows, width = settings.batch, settings.length + 1
    while True:
        while len(state.buffer) < rows * width:
            document = make_document(settings.seed, state.document)
            state.buffer += tokenizer(document, add_special_tokens=False).input_ids
            state.document += 1
        ids = torch.tensor(state.buffer[: rows * width])
        state.buffer = state.buffer[rows * width :]
        yield ids.view(rows, width)


def save(out: Path, run: Path, settings: Settings, state: State, model: Any, opt: Any) -> None:
    """Write the model folder and the checkpoint; an interrupted write leaves the old one."""
    model.save_pretrained(out)
    parts = {
        "settings": asdict(settings),
        "state": asdict(state),
        "model": model.state_dict(),
        "optimizer": opt.state_dict(),
    }
    torch.save(parts, run / "checkpoint.part")
    os.replace(run / "checkpoint.part", run / "checkpoint.pt")
    curve = [{"tokens": t, "seconds": round(s), "loss": round(v, 4)} for t, s, v in state.losses]
    (run / "curve.json").write_text(json.dumps(curve, indent=1), encoding="utf-8")


def resume(run: Path, settings: Settings, model: Any, opt: Any) -> State:
    """State of the run's checkpoint, which also fills model and optimizer; else a new one."""
    path = run / "checkpoint.pt"
    if not path.exists():
        return State()
    parts = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    if {**parts["settings"], "minutes": settings.minutes} != asdict(settings):
        sys.exit(f"error: {path} belongs to a run with other settings; choose another --run")
    model.load_state_dict(parts["model"])
    opt.load_state_dict(parts["optimizer"])
    state = State(**parts["state"])
    print(f"resumed at step {state.step}, {state.tokens / 1e6:.2f}M tokens", flush=True)
    return state


def compiled_loss(model: Any, device: str, compiled: bool, bf16: bool) -> Any:
    """Mean next-token loss of a batch of rows; weights stay float32 under bfloat16 products."""

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), rows[:, 1:].flatten()
        )

    return torch.compile(loss_of) if compiled else loss_of


def train(out: Path, run: Path, settings: Settings, device: str, compiled: bool) -> State:
    """Train until the time is up or Ctrl-C, saving every minute of training."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    if (run / "checkpoint.pt").exists():
        tokenizer = AutoTokenizer.from_pretrained(out)
    else:
        tokenizer = train_tokenizer(settings.seed)
        tokenizer.save_pretrained(out)
    write_scope(out)
    model = build_model(settings, tokenizer).to(device)
    print(f"{model.num_parameters():,} parameters on {device}", flush=True)
    opt = torch.optim.AdamW(
        model.parameters(), lr=settings.rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )
    state = resume(run, settings, model, opt)
    loss_of = compiled_loss(model, device, compiled, settings.bf16)
    stream = batches(settings, state, tokenizer)
    saved = state.seconds
    with contextlib.suppress(KeyboardInterrupt):
        for _ in itertools.count():
            if settings.progress(state.seconds) >= 1:
                break
            step(settings, state, model, opt, loss_of, next(stream).to(device))
            if state.seconds - saved > 60:
                save(out, run, settings, state, model, opt)
                saved = state.seconds
    save(out, run, settings, state, model, opt)
    return state


def step(
    settings: Settings, state: State, model: Any, opt: Any, loss_of: Any, rows: torch.Tensor
) -> None:
    """One step of the optimizer; the first, which compiles, is not counted as time."""
    began = time.monotonic()
    for group in opt.param_groups:
        group["lr"] = settings.rate_at(state.step, state.seconds)
    loss = loss_of(rows)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad()
    value = loss.item()
    state.tokens += settings.batch * settings.length
    state.step += 1
    if state.step > 1:
        state.seconds += time.monotonic() - began
    if state.step % 50 == 0:
        state.losses.append((state.tokens, state.seconds, value))
        report(settings, state, value)


def report(settings: Settings, state: State, loss: float) -> None:
    """One line of progress."""
    speed = state.tokens / max(state.seconds, 1e-9)
    left = settings.minutes - state.seconds / 60
    print(
        f"step {state.step:6d}  loss {loss:.4f}  {state.tokens / 1e6:6.2f}M tokens"
        f"  {speed:,.0f} tokens/s  {left:.1f} min left",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.tiny.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--run", type=Path, help="folder for checkpoints (default: runs/NAME)")
    parser.add_argument("--minutes", type=float, default=45, help="minutes of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=128, help="width, a multiple of 32")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--length", type=int, default=512, help="tokens in a row")
    parser.add_argument("--batch", type=int, default=4, help="rows in a step")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 products")
    parser.add_argument("--no-compile", action="store_true", help="skip torch.compile")
    return parser.parse_args()


def main() -> int:
    """Train as the command line says; 130 when stopped by Ctrl-C."""
    args = arguments()
    torch.set_num_threads(args.threads)
    # A run in the background ignores Ctrl-C's signal by default; a plain kill should save, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    run = args.run or Path("runs") / args.out.resolve().name
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"error: cannot write: {error}", file=sys.stderr)
        return 2
    names = ("minutes", "seed", "hidden", "layers", "length", "batch", "rate")
    settings = Settings(**{name: getattr(args, name) for name in names}, bf16=not args.float32)
    state = train(args.out, run, settings, args.device, not args.no_compile)
    done = settings.progress(state.seconds) >= 1
    print(f"{'done' if done else 'stopped'}: {state.tokens:,} tokens, {state.seconds / 60:.1f} min")
    return 0 if done else 130


if __name__ == "__main__":
    sys.exit(main())
