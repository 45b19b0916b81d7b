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
and notices; `--set training.train_on=["model"]` excludes the hints. The trainer gets token ids, and
labels that follow the trace's loss mask. TRL's `completion_mask` alone would train on every token,
and a mask made from a chat template cannot exclude an output inside a thought.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recipes.command import command_line, given, out_of, program
from recipes.config import Config
from recipes.training import Log, Report, arguments, load, processes, train_once
from start_sdk import ConfigError, Trace
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say
from start_sdk.trace import Source

# The settings of `training` that do not change the weights.
ASIDE = {"save_steps", "logging_steps", "report_to", "accelerate"}
IGNORED = -100  # the label of a token without loss, as PyTorch's cross-entropy has it


def train(config: Config, folder: Path, data: Path) -> Report:
    """Trains what is not trained yet.

    Args:
        config: the run; of it the table `training`, the seed, and the base model.
        folder: where the model, its checkpoints and its log go.
        data: the training set: a line per trace (`recipes.hint_rft`).

    Returns:
        the report, as training.json has it: rows, tokens, steps, loss, seconds.

    Raises:
        ConfigError: data or options that cannot be used; the folder holds another training.
        MissingExtra: TRL is not installed.
    """
    options = config.training
    found = counts(data, options.train_on, options.max_length)
    settings = options.model_dump(mode="json", exclude=ASIDE)
    with data.open("rb") as file:
        content = hashlib.file_digest(file, "blake2b").hexdigest()
    key = fingerprint([settings, config.seed, model_hash(config.base), content])

    def summary(log: Log) -> Report:
        losses = [line["loss"] for line in log if "loss" in line]
        ends = {"first loss": losses[0], "last loss": losses[-1]}
        return {"epochs": options.epochs, **found, **ends}

    return train_once(config, folder, key, partial(make_trainer, config, folder, data), summary)


def make_trainer(config: Config, folder: Path, data: Path) -> Any:
    """TRL's trainer of this training, ready to train.

    Raises:
        ConfigError: options or a model that cannot be used.
    """
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    options = config.training
    same = {"learning_rate", "max_length", "packing", "logging_steps", "save_steps"}
    args = SFTConfig(
        **arguments(config, folder, options.batch, "training.batch"),
        **options.model_dump(include=same),
        num_train_epochs=options.epochs,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup,  # below 1 it is a share of the steps
    )
    with processes().main_process_first():  # the others read what it has written
        found = Dataset.from_generator(
            partial(rows, data, options.train_on, options.max_length),
            cache_dir=str(folder / "cache"),
            fingerprint="rows",  # a folder has one training set: its key.txt says so
        )
    return SFTTrainer(args=args, train_dataset=found, **load(config.base, options))


def rows(data: Path, train_on: Sequence[Source], max_length: int) -> Iterator[dict[str, list[int]]]:
    """The traces that fit, encoded."""
    for trace in traces(data):
        if len(trace.token_ids) <= max_length:
            yield encode(trace, train_on)


def encode(trace: Trace, train_on: Sequence[Source]) -> dict[str, list[int]]:
    """A trace's `input_ids` and `labels`, one label per token; the model shifts them itself."""
    ids, mask = trace.token_ids, trace.loss_mask(train_on)
    labels = [i if m else IGNORED for i, m in zip(ids, mask, strict=True)]
    return {"input_ids": ids, "labels": labels}


def counts(data: Path, train_on: Sequence[Source], max_length: int) -> dict[str, int]:
    """Rows that fit, rows that are too long, tokens, and tokens with loss.

    Raises:
        ConfigError: as `traces`; a trace is not token-exact; no row fits.
    """
    found = Counter({"rows": 0, "too long": 0, "tokens": 0, "loss tokens": 0})
    for trace in traces(data):
        if not trace.exact:
            raise ConfigError(f"{data}: a trace is not token-exact, so training cannot use it")
        tokens, loss = len(trace.token_ids), sum(trace.loss_mask(train_on))
        fits = {"rows": 1, "tokens": tokens, "loss tokens": loss}
        found.update(fits if tokens <= max_length else {"too long": 1})
    if not found["rows"]:
        raise ConfigError(f"{data}: no trace has at most max_length={max_length} tokens")
    return dict(found)


def traces(data: Path) -> Iterator[Trace]:
    """The traces of a training set, one at a time.

    Raises:
        ConfigError: the file cannot be read, or a line of it holds no trace.
    """
    number = 1
    try:
        with data.open(encoding="utf-8") as lines:
            for line in lines:
                yield Trace.model_validate(json.loads(line)["trace"])
                number += 1
    except OSError as error:
        raise ConfigError(f"cannot read {str(data)!r}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{data}, line {number}: not a trace: {error}") from error


def main() -> int:
    """Trains; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.train_sft", __doc__, needs_config=True)
    about = "the training set that recipes.hint_rft wrote"
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help=about)
    options = parser.parse_args()

    def body() -> None:
        say(json.dumps(train(given(options), out_of(options), options.data), indent=1))

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
