"""What the trainings share: the model, TRL's options, resuming, Ctrl-C, and the output files."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.settings import Training
from start_sdk import ConfigError, MissingExtra, models

Report = dict[str, Any]
Log = list[Report]  # what TRL logged: a line per step


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


def train_once(
    config: Config,
    folder: Path,
    key: str,
    begin: Callable[[], Any],
    summary: Callable[[Log], Report],
) -> Report:
    """Trains from the last checkpoint on, and writes the model, the log and the report.

    Args:
        config: the run.
        folder: of the training.
        key: hash of all that the training depends on.
        begin: makes TRL's trainer; not called if the training is finished.
        summary: what the report says of this kind of training, from its log.

    Returns:
        the report.

    Raises:
        ConfigError: the folder holds another training, or cannot be written.
        KeyboardInterrupt: after Ctrl-C; the step was finished and a checkpoint saved.
    """
    claim(folder, key)
    done = folder / "training.json"
    if done.exists() and any((folder / name).is_dir() for name in ("model", "adapter")):
        return dict(json.loads(done.read_text(encoding="utf-8")))
    trainer, together, began = begin(), processes(), time.monotonic()
    # Several processes would not stop after the same step, and would wait for each other for ever.
    with _stoppable(trainer) if together.num_processes == 1 else nullcontext():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
    seconds = round(time.monotonic() - began, 1)
    _save(trainer, folder, config)
    log = trainer.state.log_history
    report = {"key": key, "base": config.base, **summary(log), "steps": trainer.state.global_step}
    report |= {"seconds": seconds, "processes": together.num_processes}
    if together.is_main_process:
        lines = "".join(json.dumps(line) + "\n" for line in log)
        (folder / "train.jsonl").write_text(lines, encoding="utf-8")
        done.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    together.wait_for_everyone()
    return report


def claim(folder: Path, key: str) -> None:
    """Makes the folder of a training, with its key.

    Raises:
        ConfigError: the folder holds another training, or cannot be written.
    """
    begun = folder / "key.txt"
    with processes().main_process_first():
        kept = any((folder / name).exists() for name in ("checkpoints", "model", "adapter"))
        if kept and begun.exists() and begun.read_text(encoding="utf-8") != key:
            raise ConfigError(
                f"{str(folder)!r} contains a training with other options, data or base: "
                "give another folder, or remove that one"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            begun.write_text(key, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write to {str(folder)!r}: {error.strerror}") from error


def passes(options: Training, batch: int, named: str, processes: int) -> int:
    """Forward passes of each process in a step.

    Args:
        options: how a training is computed.
        batch: sequences of a step, over all processes.
        named: what the config calls `batch`, for the message.
        processes: that share it.

    Raises:
        ConfigError: they cannot.
    """
    if batch % (options.per_device * processes):
        factors = f"per_device={options.per_device} x {processes} processes"
        raise ConfigError(f"{named}={batch} is not a multiple of {factors}")
    return batch // (options.per_device * processes)


def arguments(config: Config, folder: Path, batch: int, named: str) -> dict[str, Any]:
    """The options that TRL's configurations share, on the devices of this machine.

    Raises:
        ConfigError: as `passes`.
    """
    import torch

    options = config.training
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    same = {"weight_decay", "max_grad_norm", "bf16", "gradient_checkpointing"}
    return {
        **options.model_dump(include=same),
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": options.per_device,
        "gradient_accumulation_steps": passes(options, batch, named, processes().num_processes),
        "adam_beta1": options.adam_betas[0],
        "adam_beta2": options.adam_betas[1],
        "optim": options.optimizer,
        "logging_first_step": True,
        "save_total_limit": 2,
        "report_to": list(options.report_to) or "none",
        "seed": config.seed % 2**32,  # of the order of the rows
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


def _save(trainer: Any, folder: Path, config: Config) -> None:
    """Writes the model; of adapters also the base with them merged into it."""
    made, lora = folder / "model", config.training.lora
    trained = folder / "adapter" if lora else made
    trainer.model.config.use_cache = True  # the trainer turned it off; a backend needs it
    trainer.save_model(str(trained))
    if trainer.accelerator.is_main_process:
        (trained / "training_args.bin").unlink(missing_ok=True)  # a pickle that names this machine
        if lora:
            shutil.rmtree(made, ignore_errors=True)  # of a run that ended right after this
            model_of(folder, config.base, config.training)


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
