"""Pre-trains a miniature from scratch: `python -m recipes.tiny.pretrain --config FILE --minutes M`.

One plain loop for CPU and CUDA, as fast as transformers.Trainer (`python -m benchmarks.pretrain`),
which would need accelerate as well.
The run folder holds a checkpoint, written every minute and at Ctrl-C. The same command, started
again, goes on from it, and with more --minutes it lengthens the run. The model folder is ready to
load at every checkpoint. Needs torch 2.9 or newer, which brings Muon.
"""

import argparse
import contextlib
import itertools
import json
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

from recipes.tiny.model import (
    Optimizers,
    Settings,
    build_model,
    build_optimizers,
    compiled_loss,
)
from recipes.tiny.scope import write_scope
from recipes.tiny.text import make_document
from recipes.tiny.tokenizer import train_tokenizer

#: Documents with numbers below this are left to the tokenizer's training and to tests.
FIRST_DOCUMENT = 100_000
#: Steps between two lines of progress, each with the mean loss of these steps.
REPORT_EVERY = 50
CONFIGS = Path(__file__).parent / "configs"


@dataclass
class State:
    """Where a run stands."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    document: int = FIRST_DOCUMENT
    recent: list[float] = field(default_factory=list)  # losses since the last report
    losses: list[tuple[int, float, float]] = field(default_factory=list)  # tokens, seconds, loss


def say(text: str) -> None:
    """Prints a line of numbers: this program needs no package but torch's and transformers'."""
    print(text, flush=True)  # noqa: T201


def row(settings: Settings, state: State, tokenizer: Any) -> list[int]:
    """`length` + 1 ids of whole documents, the last one cut off where the row ends.

    A row never begins inside a document: a program's numbers would stand there without their
    question, and nobody could learn to copy them from it.
    """
    ids: list[int] = []
    while len(ids) <= settings.length:
        document = make_document(settings.seed, state.document, tuple(settings.shares.values()))
        ids += tokenizer(document, add_special_tokens=False).input_ids
        state.document += 1
    return ids[: settings.length + 1]


def batches(settings: Settings, state: State, tokenizer: Any) -> Iterator[torch.Tensor]:
    """Rows of ids, (batch, length + 1); `state` follows along, so that a run can go on."""
    while True:
        yield torch.tensor([row(settings, state, tokenizer) for _ in range(settings.batch)])


def save(
    out: Path, run: Path, settings: Settings, state: State, model: Any, opt: Optimizers
) -> None:
    """Write the model folder and the checkpoint; an interrupted write leaves the old one."""
    model.save_pretrained(out)
    parts = {
        "settings": asdict(settings),
        "state": asdict(state),
        "model": model.state_dict(),
        "optimizers": [part.state_dict() for part in opt.parts],
    }
    torch.save(parts, run / "checkpoint.part")
    os.replace(run / "checkpoint.part", run / "checkpoint.pt")
    curve = [{"tokens": t, "seconds": round(s), "loss": round(v, 4)} for t, s, v in state.losses]
    (run / "curve.json").write_text(json.dumps(curve, indent=1), encoding="utf-8")


def resume(run: Path, settings: Settings, model: Any, opt: Optimizers) -> State:
    """State of the run's checkpoint, which also fills model and optimizer; else a new one."""
    path = run / "checkpoint.pt"
    if not path.exists():
        return State()
    parts = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    if {**parts["settings"], "minutes": settings.minutes} != asdict(settings):
        raise ValueError(f"{path} belongs to a run with other settings; choose another --run")
    model.load_state_dict(parts["model"])
    for part, saved in zip(opt.parts, parts["optimizers"], strict=True):
        part.load_state_dict(saved)
    state = State(**parts["state"])
    say(f"resumed at step {state.step}, {state.tokens / 1e6:.2f}M tokens")
    return state


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
    say(f"{model.num_parameters():,} parameters on {device}")
    opt = build_optimizers(model, settings)
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
    settings: Settings, state: State, model: Any, opt: Optimizers, loss_of: Any, rows: torch.Tensor
) -> None:
    """One step of the optimizers; the first, which compiles, is not counted as time."""
    began = time.monotonic()
    loss = loss_of(rows)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step(settings.rate_at(state.step, state.seconds))
    state.recent.append(loss.item())
    state.tokens += settings.batch * settings.length
    state.step += 1
    if state.step > 1:
        state.seconds += time.monotonic() - began
    if len(state.recent) == REPORT_EVERY:
        mean = sum(state.recent) / REPORT_EVERY
        state.recent.clear()
        state.losses.append((state.tokens, state.seconds, mean))
        report(settings, state, mean)


def report(settings: Settings, state: State, loss: float) -> None:
    """One line of progress."""
    speed = state.tokens / max(state.seconds, 1e-9)
    left = settings.minutes - state.seconds / 60
    say(
        f"step {state.step:6d}  loss {loss:.4f}  {state.tokens / 1e6:6.2f}M tokens"
        f"  {speed:,.0f} tokens/s  {left:.1f} min left"
    )


def command_line() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m recipes.tiny.pretrain", description=__doc__)
    parser.add_argument(
        "--config", type=Path, default=CONFIGS / "base.toml", help="default: configs/base.toml"
    )
    parser.add_argument("--minutes", type=float, help="of training (default: the config's)")
    parser.add_argument("--seed", type=int, help="of text and weights (default: the config's)")
    parser.add_argument("--run", type=Path, help="folder for checkpoints (default: runs/CONFIG)")
    parser.add_argument("--out", type=Path, help="folder for the model (default: RUN/model)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-compile", action="store_true", help="skip torch.compile")
    return parser


def main() -> int:
    """Train as the command line says; 130 when stopped by Ctrl-C."""
    parser = command_line()
    args = parser.parse_args()
    run = args.run or Path("runs") / args.config.stem
    out = args.out or run / "model"
    try:
        settings = Settings.read(args.config, minutes=args.minutes, seed=args.seed)
        out.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    torch.set_num_threads(args.threads)
    # A run in the background ignores Ctrl-C's signal by default; a plain kill should save, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        state = train(out, run, settings, args.device, not args.no_compile)
    except ValueError as error:
        parser.error(str(error))
    done = settings.progress(state.seconds) >= 1
    say(f"{'done' if done else 'stopped'}: {state.tokens:,} tokens, {state.seconds / 60:.1f} min")
    return 0 if done else 130


if __name__ == "__main__":
    sys.exit(main())
