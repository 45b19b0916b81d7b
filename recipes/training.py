"""What the trainings share: the model, TRL's options, resuming, Ctrl-C, and the output files."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recipes.base_model import NotHere
from recipes.config import Config
from recipes.settings import Training
from start_sdk import ConfigError, MissingExtra, models


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


def finished(folder: Path, key: str) -> dict[str, Any] | None:
    """The report of a training that is finished; None if it has to begin, or to continue.

    Args:
        folder: of the training; it is made, and gets the key.
        key: hash of all that the training depends on.

    Raises:
        ConfigError: the folder holds another training, or cannot be written.
    """
    begun, done = folder / "key.txt", folder / "training.json"
    with processes().main_process_first():
        if begun.exists() and begun.read_text(encoding="utf-8") != key:
            raise ConfigError(
                f"{str(folder)!r} contains a training with other options, data or base: "
                "give another folder, or remove that one"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            begun.write_text(key, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    if not (done.exists() and any((folder / name).is_dir() for name in ("model", "adapter"))):
        return None
    return dict(json.loads(done.read_text(encoding="utf-8")))


def arguments(options: Training, seed: int, folder: Path, batch: int, named: str) -> dict[str, Any]:
    """The options that TRL's configurations share, on the devices of this machine.

    Args:
        options: how a training is computed.
        seed: of the run.
        folder: where the training is.
        batch: sequences of a step, over all processes.
        named: what the config calls `batch`, for messages.

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


def load(base: str, options: Training) -> dict[str, Any]:
    """The model, its tokenizer, and the adapters to train, if any, as TRL's trainers take them.

    The model is in float32; where only adapters are trained, in the type that it is stored in.

    Raises:
        ConfigError: it cannot be found or read.
    """
    found, lora = models.find(base), options.lora
    if found.adapter:
        raise ConfigError(f"{base} is an adapter: train its model, {found.location!r}")
    source = found.location
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype="auto" if lora else "float32", attn_implementation=options.attention
        )
    except Exception as error:  # a boundary: broken files raise anything, from several libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"the model {base!r} cannot be loaded: {reason}") from error
    adapters = lora and LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return {"model": model, "processing_class": tokenizer, "peft_config": adapters}


def run(trainer: Any, folder: Path, base: str, options: Training) -> dict[str, Any]:
    """Trains from the last checkpoint on, and saves the model.

    Returns:
        what the report says of every training: steps, seconds, processes.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the step was finished and a checkpoint saved.
    """
    began, together = time.monotonic(), processes().num_processes
    # Several processes would not stop after the same step, and would wait for each other for ever.
    with _stoppable(trainer) if together == 1 else nullcontext():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
    seconds = round(time.monotonic() - began, 1)
    _save(trainer, folder, base, options)
    return {"steps": trainer.state.global_step, "seconds": seconds, "processes": together}


def write(folder: Path, log: list[dict[str, Any]], report: dict[str, Any]) -> dict[str, Any]:
    """Writes the log (train.jsonl), then the report that ends a training (training.json)."""
    if processes().is_main_process:
        lines = "".join(json.dumps(line) + "\n" for line in log)
        (folder / "train.jsonl").write_text(lines, encoding="utf-8")
        text = json.dumps(report, indent=1) + "\n"
        (folder / "training.json").write_text(text, encoding="utf-8")
    processes().wait_for_everyone()
    return report


def last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that is whole: its trainer_state.json is what is written last."""
    whole: list[tuple[int, str]] = []
    for state in folder.glob("checkpoint-*/trainer_state.json"):
        with suppress(ValueError):  # the run was killed while it was written
            step = json.loads(state.read_text(encoding="utf-8"))["global_step"]
            whole.append((step, str(state.parent)))
    return max(whole)[1] if whole else None


@contextmanager
def _stoppable(trainer: Any) -> Iterator[None]:
    """Ctrl-C lets the step end and saves a checkpoint; a second one stops at once."""
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save = control.should_training_stop = True

    def ask(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        trainer.add_callback(stop)

    stop = Stop()
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if stop in trainer.callback_handler.callbacks:
        raise KeyboardInterrupt


def _save(trainer: Any, folder: Path, base: str, options: Training) -> None:
    """Writes the model, whole or not at all; adapters by themselves, and merged into the base."""
    unfinished = folder / "model.part"
    trained = folder / "adapter" if options.lora else unfinished
    trainer.model.config.use_cache = True  # the trainer turned it off; a backend needs it
    trainer.save_model(str(trained))
    if not trainer.accelerator.is_main_process:
        return
    (trained / "training_args.bin").unlink(missing_ok=True)  # a pickle that names this machine
    shutil.rmtree(folder / "model", ignore_errors=True)  # of a run that ended right after this
    if options.lora:
        model_of(folder, base, options)
    else:
        unfinished.rename(folder / "model")


def model_of(folder: Path, base: str, options: Training) -> str:
    """The model that a training made. Of adapters alone, as a repository may keep them, it is
    merged again."""
    made, unfinished = folder / "model", folder / "model.part"
    if options.lora and not made.is_dir():
        from peft import PeftModel

        loaded = load(base, options)
        model = PeftModel.from_pretrained(loaded["model"], str(folder / "adapter"))
        merged: Any = model.merge_and_unload()
        merged.save_pretrained(unfinished)
        loaded["processing_class"].save_pretrained(unfinished)
        unfinished.rename(made)
    return str(made)


def read_processes(config: Config) -> int:
    """How many processes share a training."""
    if config.training.accelerate is None:
        return config.plan.training_devices
    from accelerate.commands.config.config_args import load_config_from_file

    found: Any = load_config_from_file(config.training.accelerate)
    return int(found.num_processes)


def check_training(config: Config, processes: int) -> str:
    """The processes can share a step, and what they need is installed."""
    options, each = config.training, config.training.per_device
    if options.batch % (each * processes):
        factors = f"per_device={each} x {processes} processes"
        raise ConfigError(f"training.batch={options.batch} is not a multiple of {factors}")
    flash = ["flash_attn"] if options.attention.startswith("flash_attention") else []
    needed = ["trl", "datasets", "accelerate", *flash]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise NotHere(f"not installed here: {', '.join(missing)}")
    if processes > 1 and options.accelerate is None:
        raise NotHere(f"without training.accelerate, one process trains, not {processes}")
    return f"{options.batch // processes} sequences per step in each process, of {processes}"
