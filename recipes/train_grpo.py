"""Trains a model on the rewards of its own sessions: GRPO, with sessions as TRL's rollouts.

    python -m recipes.train_grpo --config recipes/configs/tiny.toml \
        --model runs/x/start-0/model --out runs/x/grpo

Group-relative policy optimisation (DeepSeekMath, arXiv 2402.03300): each step takes some training
problems, runs several sessions of each with the current weights and real kernels, and makes the
sessions with above-average reward for their problem more likely. The reward is the grader's
verdict, 1 or 0. Only tokens of the model and the end-of-sequence token carry loss.

The settings are in the config's table `grpo`, and those of the computation in `training`
(recipes/settings.py).
The output folder contains the model (model/), checkpoints, the training log with the reward of each
step (train.jsonl), its curve (curve.png) and training.json. The same command resumes from the last
complete checkpoint; a finished training is not repeated. Ctrl-C saves a checkpoint first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean

from recipes import plots
from recipes.command import command_line, given, out_of, program
from recipes.config import Config
from recipes.data import training_problems
from recipes.suites import Problem
from recipes.training import Log, Report, processes, train_once
from start_sdk import ConfigError
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say

# The settings of `training` that GRPO takes, too, and that change the weights.
SHARED = {
    "per_device", "weight_decay", "adam_betas", "max_grad_norm", "lora", "optimizer",
    "gradient_checkpointing", "attention",
}  # fmt: skip
WINDOW = 10  # steps of the moving average of the curve


def train(config: Config, folder: Path, problems: Sequence[Problem] | None = None) -> Report:
    """Trains what is not trained yet.

    Args:
        config: the run; of it the tables `grpo`, `training`, `problems` and `limits`.
        folder: where the model, its checkpoints and its log go.
        problems: those of the config by default.

    Returns:
        the report, as training.json has it: problems, steps, rewards, seconds.

    Raises:
        ConfigError: options, problems or a model that cannot be used; the folder holds another
            training.
        MissingExtra: TRL is not installed.
        StartError: a session could not be run; the same call continues from the last checkpoint.
    """
    check(config)
    drawn = training_problems(config) if problems is None else problems
    from recipes.grpo import make_trainer  # with TRL, which `check` has found

    def summary(log: Log) -> Report:
        rewards = [line["reward"] for line in log if "reward" in line]
        picture(rewards, folder / "curve.png")
        return {
            "problems": len(drawn),
            f"reward of the first {WINDOW} steps": round(fmean(rewards[:WINDOW]), 4),
            f"reward of the last {WINDOW} steps": round(fmean(rewards[-WINDOW:]), 4),
        }

    begin = partial(make_trainer, config, folder, drawn)
    return train_once(config, folder, _key(config, drawn), begin, summary)


def check(config: Config) -> None:
    """Refuses a run whose sessions would not see the weights in training.

    Raises:
        ConfigError: another backend than transformers, or several processes.
        MissingExtra: TRL is not installed.
    """
    if config.backend != "transformers":
        raise ConfigError(
            f"backend={config.backend!r}: GRPO samples from the weights in training, which "
            "that backend cannot access: set backend=transformers"
        )
    if processes().num_processes > 1:
        raise ConfigError("GRPO trains in a single process: start it without accelerate launch")


def _key(config: Config, problems: Sequence[Problem]) -> str:
    """Hash of all that the training depends on."""
    asked = {"prompt", "seed", "limits", "template", "conclude"}
    settings = config.model_dump(mode="json", include=asked)
    settings["grpo"] = config.grpo.model_dump(mode="json", exclude={"save_steps"})
    settings["training"] = config.training.model_dump(mode="json", include=SHARED)
    return fingerprint([settings, model_hash(config.base), list(map(asdict, problems))])


def picture(rewards: Sequence[float], path: Path) -> None:
    """The mean reward of each step, and its moving average."""
    figure = plots.figure(6, 3.6)
    axes = figure.add_subplot()
    steps = range(1, len(rewards) + 1)
    means = [fmean(rewards[max(0, step - WINDOW) : step]) for step in steps]
    axes.plot(steps, rewards, ".", alpha=0.5, label="mean of a step")
    axes.plot(steps, means, label=f"mean of {WINDOW} steps")
    axes.set(xlabel="step", ylabel="reward", ylim=(-0.02, 1.02))
    axes.legend(fontsize=8)
    plots.save(figure, path)


def main() -> int:
    """Trains; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.train_grpo", __doc__, needs_config=True)
    options = parser.parse_args()

    def body() -> None:
        say(json.dumps(train(given(options), out_of(options)), indent=1))

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
