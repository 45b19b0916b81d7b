"""Hint-RFT from a base model to START, with controls and evaluations (START, section 3).

`chain` is the whole of it, a list of calls; `Steps` makes each of them happen once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.hint_rft import curate
from recipes.problems import held_out
from recipes.reproduce.steps import Report, Step, report_of
from recipes.rollout import rollout
from recipes.settings import Curation, RolloutConfig
from recipes.suites import Problem
from recipes.train_sft import train
from recipes.training import model_of
from start_sdk import ConfigError


def chain(config: Config, out: Path, step: Step) -> None:
    """All steps of a run, in order. Each writes to its own folder of `out`.

    Raises:
        ConfigError: unselected seed data without hints for all problems.
    """
    if "unselected" in config.controls and config.hinted.only_wrong:
        raise ConfigError("the control `unselected` requires hinted.only_wrong = false")
    calls = Calls(config, out, step)
    hint_rft(calls)
    controls(calls)
    if config.evaluation.suites:
        evaluations(calls)


def hint_rft(calls: Calls) -> None:
    """From the base model to START."""
    config, out = calls.config, calls.out
    calls.rollout("plain", "the base model without hints")
    after = out / "plain"
    calls.rollout("hinted", "hints inserted into its thoughts", "plain", after=after)
    calls.curate("d-seed", "what hints turned right", "seed_data", "plain hinted", plain=after)
    calls.train("start-0", "the base model trained on D_seed", "d-seed")
    easy = None if config.start_data.easy_from is None else out / "text"
    if easy or "text" in config.controls:
        calls.rollout("text", "the base model without a tool, sampled")
    calls.rollout("sampled", "START-0, sampled", "start-0", model="start-0")
    needs = "sampled text" if easy else "sampled"
    calls.curate("d-start", "one right trace of each problem", "start_data", needs, easy=easy)
    calls.train("start", "the base model trained on D_START", "d-start")


def controls(calls: Calls) -> None:
    """What START is compared with."""
    config, out = calls.config, calls.out

    def start_tokens() -> dict[str, Any]:
        """As many tokens as START has: fewer traces, more often."""
        tokens = [report_of(out / name)["tokens"] for name in ("start", "d-text")]
        rate = config.text_learning_rate or config.training.learning_rate
        return {"epochs": config.training.epochs * tokens[0] / tokens[1], "learning_rate": rate}

    def as_many() -> dict[str, Any]:
        return {"rescued": False, "size": report_of(out / "d-seed")["kept"]}

    if "text" in config.controls:
        rules = {"needs_call": False, "easy_from": None}
        about = "one right text of each problem"
        calls.curate("d-text", about, "start_data", "text", lambda: rules)
        about = "the base model trained on as many tokens of text"
        calls.train("text-rft", about, "d-text start", start_tokens, "text_learning_rate")
    if "unselected" in config.controls:
        needs = "d-seed hinted"
        calls.curate("d-unselected", "as much seed data, unselected", "seed_data", needs, as_many)
        calls.train("unselected", "the base model trained on it", "d-unselected")
    if "masked" in config.controls:
        about = "trained on D_seed, hints without loss"
        calls.train("masked", about, "d-seed", lambda: {"train_on": ("model",)})
    if "longer" in config.controls:
        twice = {"epochs": 2 * config.training.epochs}
        calls.train("longer", "trained on D_seed for twice as long", "d-seed", lambda: twice)


def evaluations(calls: Calls) -> None:
    """Every model on held-out problems, and rounds of hints."""
    config, out = calls.config, calls.out
    samples = config.evaluation.samples
    calls.evaluate("eval-base", "the base model", "base", ("none", "no-tool"))
    # Greedy, each hint goes into the trace of the base model; else each sample is a new thought.
    after = out / "eval-base" if samples == 1 else None
    calls.evaluate("eval-hinted", "Hint-infer", "base", config.hinted.hints, after=after)
    text, others = ["text-rft"], [name for name in config.controls if name != "text"]
    for name in [*(text if "text" in config.controls else ()), "start-0", "start", *others]:
        calls.evaluate(f"eval-{name}", name, name)
    if config.evaluation.rounds and samples == 1:
        for name in ("base", "start"):
            rounds = (f"rounds:{config.evaluation.rounds}",)
            about, after = f"{name}, rounds of hints", out / f"eval-{name}"
            calls.evaluate(f"rounds-{name}", about, name, rounds, after=after)


Changes = Callable[[], dict[str, Any]]
"""Settings that a step changes; they may come from reports of the steps before it."""


class Calls:
    """The kinds of steps that a chain has."""

    def __init__(self, config: Config, out: Path, step: Step) -> None:
        self.config = config
        self.out = out
        self._step = step

    def rollout(
        self, name: str, about: str, needs: str = "", model: str = "base", after: Path | None = None
    ) -> None:
        """Runs a model on the training problems."""
        part = getattr(self.config, name)

        def work(folder: Path) -> Report:
            return rollout(self.config, folder, part, model=self._model(model), after=after)

        self._step(name, work, about, name, needs)

    def _model(self, name: str) -> str | None:
        """A model that the run made; None for the base."""
        if name == "base":
            return None
        return model_of(self.out / name, self.config.base, self.config.training)

    def curate(
        self, name: str, about: str, rules: str, needs: str, changes: Changes = dict, **folders: Any
    ) -> None:
        """Makes a training set of the rollouts among `needs`."""

        def work(folder: Path) -> Report:
            made: Curation = getattr(self.config, rules).model_copy(update=changes())
            rollouts = [self.out / n for n in needs.split() if n in ("hinted", "sampled", "text")]
            return curate(self.config, folder, made, rollouts, **folders)

        self._step(name, work, about, f"{rules} evaluation", needs)

    def train(
        self, name: str, about: str, needs: str, changes: Changes = dict, reads: str = ""
    ) -> None:
        """Trains the base model on the first of `needs`."""

        def work(folder: Path) -> Report:
            data = self.out / needs.split()[0] / "data.jsonl"
            return trained(self.config, folder, data, changes())

        self._step(name, work, about, f"training {reads}", needs)

    def evaluate(
        self,
        name: str,
        about: str,
        model: str,
        hints: tuple[str, ...] = ("none",),
        after: Path | None = None,
    ) -> None:
        """Runs a model on the held-out problems; on a few of them in rounds."""
        evaluation, families = self.config.evaluation, self.config.problems.families
        part = RolloutConfig(
            hints=hints, samples=evaluation.samples, temperature=evaluation.temperature
        )

        def work(folder: Path) -> Report:
            problems = held_out(evaluation, families)
            if name.startswith("rounds"):
                problems = first_of_each(problems, evaluation.rounds_n)
            made, config = self._model(model), self.config
            return rollout(config, folder, part, model=made, problems=problems, after=after)

        needs = [n for n in (model, after.name if after else "base") if n != "base"]
        reads = "evaluation hinted" if name == "eval-hinted" else "evaluation"
        self._step(name, work, f"{about} on held-out problems", reads, " ".join(needs))


def first_of_each(problems: Sequence[Problem], n: int) -> list[Problem]:
    """The first problems of each family."""
    taken = Counter[str]()
    found = []
    for problem in problems:
        taken[problem.family] += 1
        if taken[problem.family] <= n:
            found.append(problem)
    return found


def trained(config: Config, folder: Path, data: Path, changes: Mapping[str, Any]) -> Report:
    """The base model trained on a training set: in this process, or by `accelerate launch`."""
    training = config.training.model_copy(update=changes)
    config = config.model_copy(update={"training": training})
    if training.accelerate is None or (folder / "training.json").exists():
        return train(config, folder, data)
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "config.json"
    whole.write_text(config.model_dump_json(indent=1), encoding="utf-8")
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", training.accelerate,
        "-m", "recipes.train_sft", "--config", str(whole), "--data", str(data),
        "--out", str(folder),
    ]  # fmt: skip
    status = subprocess.run(command, check=False).returncode
    if status:
        raise ConfigError(f"the training in {str(folder)!r} ended with {status}: see above")
    report: Report = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return report


def names(config: Config) -> list[str]:
    """The steps of a run, in order."""
    found: list[str] = []
    chain(config, Path(), lambda name, *_, **__: found.append(name))
    return found
