"""Fine-tunes a model on traces: TRL's SFTTrainer on token ids and labels.

    python -m recipes.train_sft --config recipes/configs/tiny.toml --data runs/x/d-seed/data.jsonl \
        --out runs/x/start-0
    accelerate launch --config_file recipes/configs/accelerate/zero3.yaml -m recipes.train_sft \
        --config recipes/configs/qwq-32b.toml --data d-start/data.jsonl --out start

The folder gets the model (model/), checkpoints, the training log (train.jsonl) and training.json.
The same command goes on from the last whole checkpoint; a training that is finished is not run
again. Ctrl-C saves a checkpoint first (not under `accelerate launch`, where checkpoints are all).

Loss is on what the model and the hints wrote and on the end-of-sequence token, never on prompts,
outputs and notices; `--set training.train_on=["model"]` leaves the hints out.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipes import experiment, sft_data, sft_model
from recipes.config import Config, parsed_changes, read_config
from start_sdk import ConfigError, MissingExtra
from start_sdk.batch import model_hash
from start_sdk.rows import fingerprint


def train(config: Config, folder: Path, data: Path, *, base: str | None = None) -> dict[str, Any]:
    """Trains what is not trained yet.

    Args:
        config: the run; of it the table `training`, the seed, and the base model.
        folder: where the model, its checkpoints and its log go.
        data: the training set: a line per trace (`recipes.hint_rft`).
        base: the model to start from; the config's by default.

    Returns:
        the report, as training.json has it: rows, tokens, steps, loss, seconds.

    Raises:
        ConfigError: data or options that cannot be used; the folder holds another training.
        MissingExtra: TRL is not installed.
    """
    options, base = config.training, experiment.model_name(base or config.base)
    found = sft_data.counts(data, options.train_on, options.max_length)
    key = _key(config, data, base)
    state = processes()
    with state.main_process_first():
        finished = _finished(folder, key)
    if finished is not None:
        return finished
    trainer = make_trainer(config, folder, data, base)
    began = time.monotonic()
    with _stoppable(trainer, alone=state.num_processes == 1):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
    seconds = time.monotonic() - began
    sft_model.save(trainer, base, options, folder, main=state.is_main_process)
    report = {"key": key, "base": base, **found, **_outcome(trainer, seconds)}
    if state.is_main_process:
        log = "".join(json.dumps(line) + "\n" for line in trainer.state.log_history)
        (folder / "train.jsonl").write_text(log, encoding="utf-8")
        text = json.dumps(report, indent=1) + "\n"
        (folder / "training.json").write_text(text, encoding="utf-8")
    state.wait_for_everyone()
    return report


def make_trainer(config: Config, folder: Path, data: Path, base: str) -> Any:
    """TRL's trainer of this training, ready to train.

    Raises:
        ConfigError: options or a model that cannot be used.
    """
    from trl.trainer.sft_trainer import SFTTrainer

    options, arguments = config.training, sft_arguments(config, folder)
    with processes().main_process_first():
        rows = sft_data.dataset(data, options.train_on, options.max_length, folder / "cache")
    model, tokenizer = sft_model.load(base, options)
    return SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=sft_model.adapters(options),
    )


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


def sft_arguments(config: Config, folder: Path) -> Any:
    """TRL's own configuration of this training, on the devices that are here."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    options, together = config.training, processes().num_processes
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    at_once = options.per_device * together
    if options.batch % at_once:
        raise ConfigError(
            f"training.batch={options.batch} is no multiple of {at_once}: of per_device="
            f"{options.per_device} times {together} processes"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        learning_rate=options.learning_rate,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.per_device,
        gradient_accumulation_steps=options.batch // at_once,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup,  # below 1 it is a share of the steps
        weight_decay=options.weight_decay,
        adam_beta1=options.adam_betas[0],
        adam_beta2=options.adam_betas[1],
        max_grad_norm=options.max_grad_norm,
        optim=options.optimizer,
        max_length=options.max_length,
        packing=options.packing,
        bf16=options.bf16,
        gradient_checkpointing=options.gradient_checkpointing,
        logging_steps=options.logging_steps,
        logging_first_step=True,
        save_steps=options.save_steps,
        save_total_limit=2,
        report_to=list(options.report_to) or "none",
        seed=config.seed % 2**32,  # of the order of the rows
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=not sys.stderr.isatty(),
    )


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


def _key(config: Config, data: Path, base: str) -> str:
    """What a training depends on; where it logs and how often it saves is not of it."""
    aside = {"save_steps", "logging_steps", "report_to"}
    settings = config.training.model_dump(mode="json", exclude=aside)
    return fingerprint([settings, config.seed, model_hash(base), sft_data.digest(data)])


def _finished(folder: Path, key: str) -> dict[str, Any] | None:
    """The report of a training that was finished here.

    Raises:
        ConfigError: it is another one, or another one was begun here.
    """
    begun, done = folder / "key.txt", folder / "training.json"
    if begun.exists() and begun.read_text(encoding="utf-8") != key:
        raise ConfigError(
            f"{str(folder)!r} holds a training with other options, data or base: "
            "give another folder, or take that one away"
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


@contextmanager
def _stoppable(trainer: Any, *, alone: bool) -> Iterator[None]:
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


def _outcome(trainer: Any, seconds: float) -> dict[str, Any]:
    log = [line for line in trainer.state.log_history if "loss" in line]
    return {
        "steps": trainer.state.global_step,
        "first loss": log[0]["loss"] if log else None,
        "last loss": log[-1]["loss"] if log else None,
        "seconds": round(seconds, 1),
        "processes": trainer.accelerator.num_processes,
    }


def main() -> int:
    """Trains; 2 for bad input, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.train_sft",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", type=Path, required=True)
    add("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="changes")
    add("--data", type=Path, required=True, help="the training set, as recipes.hint_rft writes it")
    add("--base", help="the model to start from; default: the config's base")
    add("--out", type=Path, required=True)
    options = parser.parse_args()

    def body() -> None:
        config = read_config(options.config, parsed_changes(options.changes))
        print(json.dumps(train(config, options.out, options.data, base=options.base), indent=1))

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
