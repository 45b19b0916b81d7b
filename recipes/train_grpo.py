"""Trains a model on the rewards of its own sessions: GRPO, with sessions as TRL's rollouts.

    python -m recipes.train_grpo --config recipes/configs/tiny.toml \
        --base runs/x/start-0/model --out runs/x/grpo

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
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recipes import experiment, sft_model
from recipes.config import Config, command_line, given
from recipes.data import training_problems
from recipes.grpo_rollout import GRPOSampler, correct, schedule
from recipes.suites import Problem
from recipes.training import arguments, finished, last_checkpoint, processes, stoppable, write
from start_sdk import ConfigError
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say

SHARED = {
    "per_device", "weight_decay", "adam_betas", "max_grad_norm", "lora", "optimizer",
    "gradient_checkpointing", "attention",
}  # fmt: skip
"""Settings of `training` that hold here, too, and shape what comes out."""
WINDOW = 10
"""Steps of the moving average of the curve."""


def train(
    config: Config,
    folder: Path,
    *,
    base: str | None = None,
    problems: Sequence[Problem] | None = None,
) -> dict[str, Any]:
    """Trains what is not trained yet.

    Args:
        config: the run; of it the tables `grpo`, `training`, `problems` and `limits`.
        folder: where the model, its checkpoints and its log go.
        base: the model to start from; the config's by default.
        problems: those of the config by default.

    Returns:
        the report, as training.json has it: problems, steps, rewards, seconds.

    Raises:
        ConfigError: options, problems or a model that cannot be used; the folder holds another
            training.
        MissingExtra: TRL is not installed.
        StartError: a session could not be run; the same call goes on from the last checkpoint.
    """
    base = experiment.model_name(base or config.base)
    check(config)
    problems = training_problems(config) if problems is None else problems
    key = _key(config, base, problems)
    if done := finished(folder, key):
        return done
    with GRPOSampler(config, problems) as rollouts:
        trainer = make_trainer(config, folder, base, rollouts, len(problems))
        began = time.monotonic()
        with stoppable(trainer, alone=True):
            trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
        seconds = time.monotonic() - began
    sft_model.save(trainer, base, config.training, folder, main=True)
    log = trainer.state.log_history
    rewards = [line["reward"] for line in log if "reward" in line]
    picture(rewards, folder / "curve.png")
    report = {
        "key": key,
        "base": base,
        "problems": len(problems),
        "steps": trainer.state.global_step,
        f"reward of the first {WINDOW} steps": round(_mean(rewards[:WINDOW]), 4),
        f"reward of the last {WINDOW} steps": round(_mean(rewards[-WINDOW:]), 4),
        "seconds": round(seconds, 1),
    }
    write(folder, log, report)
    return report


def check(config: Config) -> None:
    """Refuses what cannot be trained so.

    Raises:
        ConfigError: a backend that does not see the trainer's weights, or several processes.
    """
    if config.backend != "transformers":
        raise ConfigError(
            f"backend={config.backend!r}: GRPO samples from the weights in training, which "
            "that backend cannot access: set backend=transformers"
        )
    if processes().num_processes > 1:
        raise ConfigError("GRPO trains in a single process: start it without accelerate launch")


def make_trainer(
    config: Config, folder: Path, base: str, rollouts: GRPOSampler, problems: int
) -> Any:
    """TRL's trainer of this training, ready to train.

    Raises:
        ConfigError: options or a model that cannot be used.
    """
    from datasets import Dataset

    from recipes.grpo_trainer import SessionTrainer

    options = grpo_arguments(config, folder)
    model, tokenizer = sft_model.load(base, config.training)
    rows = [{"prompt": str(number)} for number in schedule(problems, config)]
    with warnings.catch_warnings():
        # TRL may change it: pyproject.toml keeps to one minor version.
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
        return SessionTrainer(
            model=model,
            reward_funcs=correct,
            args=options,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=sft_model.adapters(config.training),
            rollout_func=rollouts,
        )


def grpo_arguments(config: Config, folder: Path) -> Any:
    """TRL's own configuration of this training."""
    from trl.trainer.grpo_config import GRPOConfig

    options = config.grpo
    batch = options.prompts * options.generations
    computed = config.training.model_copy(update={"bf16": options.bf16})
    shared = arguments(computed, config.seed, folder, batch, "prompts x generations")
    return GRPOConfig(
        **shared,
        max_steps=options.steps,
        num_generations=options.generations,
        max_completion_length=config.limits.max_tokens,
        learning_rate=options.learning_rate,
        lr_scheduler_type="constant",
        temperature=options.temperature,
        top_p=1.0,
        beta=options.beta,
        loss_type=options.loss,
        scale_rewards=options.scale_rewards,
        shuffle_dataset=False,  # the rows stand in the order of the steps
        logging_steps=1,
        save_steps=options.save_steps,
    )


def _key(config: Config, base: str, problems: Sequence[Problem]) -> str:
    """What a training depends on; how often it saves is not of it."""
    settings = config.model_dump(mode="json", include={"prompt", "seed", "limits"})
    settings["grpo"] = config.grpo.model_dump(mode="json", exclude={"save_steps"})
    settings["training"] = config.training.model_dump(mode="json", include=SHARED)
    return fingerprint([settings, model_hash(base), [asdict(problem) for problem in problems]])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def moving_average(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """For each value the mean of it and of those before it, `window` in all."""
    return [_mean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]


def picture(rewards: Sequence[float], path: Path) -> None:
    """The mean reward of each step, and its moving average."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = range(1, len(rewards) + 1)
    axes.plot(steps, rewards, ".", alpha=0.5, label="mean of a step")
    axes.plot(steps, moving_average(rewards), label=f"mean of {WINDOW} steps")
    axes.set_xlabel("step")
    axes.set_ylabel("reward")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def main() -> int:
    """Trains; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.train_grpo", __doc__)
    add = parser.add_argument
    add("--base", help="the model to start from (default: the config's base)")
    add("--out", type=Path, required=True)
    options = parser.parse_args()

    def body() -> None:
        config = given(options)
        say(json.dumps(train(config, options.out, base=options.base), indent=1))

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
