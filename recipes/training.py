"""Shared by the trainings: TRL's options, resuming from a checkpoint, Ctrl-C, and output files."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipes.settings import Training
from start_sdk import ConfigError, MissingExtra


def processes() -> Any:
    """The processes that train together: what `accelerate launch` started, or this one alone.

    Raises:
        MissingExtra: TRL and what it needs are not installed.
    """
    try:
        import torch
        import trl  # noqa: F401
        from accelerate import PartialState
    except ImportError as error:
        raise MissingExtra("training", "train") from error
    return PartialState(cpu=not torch.cuda.is_available())


def arguments(options: Training, seed: int, folder: Path, batch: int, named: str) -> dict[str, Any]:
    """The options that TRL's configurations share, on the devices that are here.

    Args:
        options: how a training is computed.
        seed: of the run.
        folder: where the training is; it is made.
        batch: sequences of a step, over all processes.
        named: what they are called where they are set.

    Raises:
        ConfigError: the devices cannot share the batch.
    """
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    together = processes().num_processes
    per_pass = options.per_device * together
    if batch % per_pass:
        raise ConfigError(
            f"{named}={batch} is not a multiple of {per_pass} (per_device="
            f"{options.per_device} times {together} processes)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": options.per_device,
        "gradient_accumulation_steps": batch // per_pass,
        "weight_decay": options.weight_decay,
        "adam_beta1": options.adam_betas[0],
        "adam_beta2": options.adam_betas[1],
        "max_grad_norm": options.max_grad_norm,
        "optim": options.optimizer,
        "bf16": options.bf16,
        "gradient_checkpointing": options.gradient_checkpointing,
        "logging_first_step": True,
        "save_total_limit": 2,
        "report_to": list(options.report_to) or "none",
        "seed": seed % 2**32,  # of the order of the rows
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": not sys.stderr.isatty(),
    }


def last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that is whole: its trainer_state.json is what is written last."""
    whole: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        try:
            state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            whole.append((int(state["global_step"]), path))
        except (OSError, ValueError, KeyError):  # the run ended while it was written
            continue
    return str(max(whole)[1]) if whole else None


def finished(folder: Path, key: str) -> dict[str, Any] | None:
    """The report of a training that was finished here; None if it is to be begun, or to go on.

    Args:
        folder: of the training; it is made, and gets the key.
        key: hash of all that the training depends on.

    Raises:
        ConfigError: it is another one, or another one was begun here.
    """
    begun, done = folder / "key.txt", folder / "training.json"
    if begun.exists() and begun.read_text(encoding="utf-8") != key:
        raise ConfigError(
            f"{str(folder)!r} contains a training with other options, data or base: "
            "give another folder, or remove that one"
        )
    if done.exists() and (folder / "model").is_dir():
        report: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return report
    try:
        folder.mkdir(parents=True, exist_ok=True)
        begun.write_text(key, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    return None


def write(folder: Path, log: list[dict[str, Any]], report: dict[str, Any]) -> None:
    """The log of a training (train.jsonl) and its report (training.json), which ends it."""
    lines = "".join(json.dumps(line) + "\n" for line in log)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    text = json.dumps(report, indent=1) + "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")


@contextmanager
def stoppable(trainer: Any, *, alone: bool) -> Iterator[None]:
    """Ctrl-C lets the step end and saves a checkpoint; a second one stops at once.

    Several processes would not stop behind the same step, and wait for each other for ever.
    """
    from transformers import TrainerCallback

    stop = False

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if stop:
                control.should_save = control.should_training_stop = True

    def asked(number: int, frame: Any) -> None:
        nonlocal stop
        if stop:
            raise KeyboardInterrupt
        stop = True

    if not alone:
        yield
        return
    trainer.add_callback(Stop())
    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if stop:
        raise KeyboardInterrupt
