"""Fine-tunes a model on traces: TRL's SFTTrainer on token ids and labels.

    python -m recipes.train_sft --config recipes/configs/tiny.toml --data runs/x/d-seed/data.jsonl \
        --out runs/x/start-0
    accelerate launch --config_file recipes/configs/accelerate/zero3.yaml -m recipes.train_sft \
        --config recipes/configs/qwq-32b.toml --data d-start/data.jsonl --out start

The output folder contains the model (model/), checkpoints, the training log (train.jsonl) and
training.json. The same command resumes from the last complete checkpoint; a finished training is
not repeated. Ctrl-C saves a checkpoint first, except under `accelerate launch`, which only resumes
from regular checkpoints.

Tokens of the model and of hints and the end-of-sequence token carry loss, never prompts, outputs
and notices; `--set training.train_on=["model"]` excludes the hints.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from recipes import experiment, sft_data, sft_model
from recipes.config import Config, command_line, given
from recipes.training import arguments, finished, last_checkpoint, processes, stoppable, write
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say

ASIDE = {"save_steps", "logging_steps", "report_to", "accelerate"}
"""Of the settings, those that change nothing of what comes out."""


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
        done = finished(folder, key)
    if done is not None:
        return done
    trainer = make_trainer(config, folder, data, base)
    began = time.monotonic()
    with stoppable(trainer, alone=state.num_processes == 1):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
    seconds = time.monotonic() - began
    sft_model.save(trainer, base, options, folder, main=state.is_main_process)
    about = {"key": key, "base": base, "epochs": options.epochs}
    report = {**about, **found, **_outcome(trainer, seconds)}
    if state.is_main_process:
        write(folder, trainer.state.log_history, report)
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


def sft_arguments(config: Config, folder: Path) -> Any:
    """TRL's own configuration of this training, on the devices that are here."""
    from trl.trainer.sft_config import SFTConfig

    options = config.training
    return SFTConfig(
        **arguments(options, config.seed, folder, options.batch, "training.batch"),
        learning_rate=options.learning_rate,
        num_train_epochs=options.epochs,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup,  # below 1 it is a share of the steps
        max_length=options.max_length,
        packing=options.packing,
        logging_steps=options.logging_steps,
        save_steps=options.save_steps,
    )


def _key(config: Config, data: Path, base: str) -> str:
    """What a training depends on; where it logs and how often it saves is not of it."""
    settings = config.training.model_dump(mode="json", exclude=ASIDE)
    return fingerprint([settings, config.seed, model_hash(base), sft_data.digest(data)])


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
    parser = command_line("recipes.train_sft", __doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="the training set that recipes.hint_rft wrote")
    add("--base", help="the model to start from (default: the config's base)")
    add("--out", type=Path, required=True)
    options = parser.parse_args()

    def body() -> None:
        config = given(options)
        say(json.dumps(train(config, options.out, options.data, base=options.base), indent=1))

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
