"""Hint-RFT from a base model to START, with controls and evaluations (START, section 3).

`chain` is the whole of it, a list of steps; `steps.do` makes each of them happen once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.hint_rft import curate
from recipes.problems import held_out
from recipes.reproduce.steps import Report, Step, Work, report_of
from recipes.rollout import rollout
from recipes.settings import Curation, RolloutConfig
from recipes.suites import Problem
from recipes.train_sft import train
from recipes.training import model_of
from start_sdk import ConfigError


def chain(config: Config, out: Path) -> list[Step]:
    """All steps of a run, in order. Each writes to its own folder of `out`.

    Raises:
        ConfigError: unselected seed data without hints for all problems.
    """
    if "unselected" in config.controls and config.hinted.only_wrong:
        raise ConfigError("the control `unselected` requires hinted.only_wrong = false")
    kinds = Kinds(config, out)
    tested = evaluations(kinds) if config.evaluation.suites else ()
    return [*hint_rft(kinds), *controls(kinds), *tested]


def hint_rft(kinds: Kinds) -> Iterator[Step]:
    """From the base model to START."""
    config, out = kinds.config, kinds.out
    yield kinds.rollout("plain", "the base model without hints")
    yield kinds.rollout("hinted", "hints inserted into its thoughts", after="plain")
    about, plain = "what hints turned right", out / "plain"
    yield kinds.curate("d-seed", about, "seed_data", "plain hinted", plain=plain)
    yield kinds.train("start-0", "the base model trained on D_seed", "d-seed")
    easy = None if config.start_data.easy_from is None else out / "text"
    if easy or "text" in config.controls:
        yield kinds.rollout("text", "the base model without a tool, sampled")
    yield kinds.rollout("sampled", "START-0, sampled", "start-0")
    about, needs = "one right trace of each problem", "sampled text" if easy else "sampled"
    yield kinds.curate("d-start", about, "start_data", needs, easy=easy)
    yield kinds.train("start", "the base model trained on D_START", "d-start")


def controls(kinds: Kinds) -> Iterator[Step]:
    """What START is compared with."""
    config, out = kinds.config, kinds.out

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
        yield kinds.curate("d-text", about, "start_data", "text", lambda: rules)
        about = "the base model trained on as many tokens of text"
        needs, reads = "d-text start", "text_learning_rate"
        yield kinds.train("text-rft", about, needs, start_tokens, reads)
    if "unselected" in config.controls:
        about, needs = "as much seed data, unselected", "d-seed hinted"
        yield kinds.curate("d-unselected", about, "seed_data", needs, as_many)
        yield kinds.train("unselected", "the base model trained on it", "d-unselected")
    if "masked" in config.controls:
        about = "trained on D_seed, hints without loss"
        yield kinds.train("masked", about, "d-seed", lambda: {"train_on": ("model",)})
    if "longer" in config.controls:
        twice = {"epochs": 2 * config.training.epochs}
        yield kinds.train("longer", "trained on D_seed for twice as long", "d-seed", lambda: twice)


def evaluations(kinds: Kinds) -> Iterator[Step]:
    """Every model on held-out problems, and rounds of hints."""
    config, greedy = kinds.config, kinds.config.evaluation.samples == 1
    yield kinds.evaluate("eval-base", "the base model", "base", "", ("none", "no-tool"))
    # Greedy, each hint goes into the trace of the base model; else each sample is a new thought.
    hints, after = config.hinted.hints, "eval-base" if greedy else ""
    yield kinds.evaluate("eval-hinted", "Hint-infer", "base", after, hints)
    text, others = ["text-rft"], [name for name in config.controls if name != "text"]
    for name in [*(text if "text" in config.controls else ()), "start-0", "start", *others]:
        yield kinds.evaluate(f"eval-{name}", name, name)
    rounds = config.evaluation.rounds if greedy else 0
    for name in ("base", "start") if rounds else ():
        about, hints = f"{name}, rounds of hints", (f"rounds:{rounds}",)
        yield kinds.evaluate(f"rounds-{name}", about, name, f"eval-{name}", hints)


Changes = Callable[[], dict[str, Any]]
"""Settings that a step changes; they may come from reports of the steps before it."""
Hints = tuple[str, ...]


class Kinds:
    """The kinds of steps that a chain has; a model is "base", or the step that trained it."""

    def __init__(self, config: Config, out: Path) -> None:
        self.config = config
        self.out = out

    def rollout(self, name: str, about: str, model: str = "base", after: str = "") -> Step:
        """Runs a model on the training problems: anew, or in the thoughts of the step `after`."""
        work = self._runs(getattr(self.config, name), model, after, lambda: None)
        return Step(name, about, name, needed(model, after), work)

    def evaluate(
        self, name: str, about: str, model: str, after: str = "", hints: Hints = ("none",)
    ) -> Step:
        """Runs a model on the held-out problems; on a few of them in rounds."""
        options, families = self.config.evaluation, self.config.problems.families
        part = RolloutConfig(hints=hints, samples=options.samples, temperature=options.temperature)

        def problems() -> list[Problem]:
            found = held_out(options, families)
            return first_of_each(found, options.rounds_n) if name.startswith("rounds") else found

        about, work = f"{about} on held-out problems", self._runs(part, model, after, problems)
        reads = "evaluation hinted" if name == "eval-hinted" else "evaluation"
        return Step(name, about, reads, needed(model, after), work)

    def _runs(
        self, part: RolloutConfig, model: str, after: str, problems: Callable[[], Any]
    ) -> Work:
        """Runs a model; None as the problems are those to train on."""
        config, base = self.config, self.out / after if after else None

        def work(folder: Path) -> Report:
            made = self.out / model
            found = None if model == "base" else model_of(made, config.base, config.training)
            return rollout(config, folder, part, model=found, problems=problems(), after=base)

        return work

    def curate(
        self, name: str, about: str, rules: str, needs: str, changes: Changes = dict, **folders: Any
    ) -> Step:
        """Makes a training set of the rollouts among `needs`."""

        def work(folder: Path) -> Report:
            made: Curation = getattr(self.config, rules).model_copy(update=changes())
            rollouts = [self.out / n for n in needs.split() if n in ("hinted", "sampled", "text")]
            return curate(self.config, folder, made, rollouts, **folders)

        return Step(name, about, f"{rules} evaluation", needs, work)

    def train(
        self, name: str, about: str, needs: str, changes: Changes = dict, reads: str = ""
    ) -> Step:
        """Trains the base model on the first of `needs`."""
        data = self.out / needs.split()[0] / "data.jsonl"

        def work(folder: Path) -> Report:
            return trained(self.config, folder, data, changes())

        return Step(name, about, f"training {reads}", needs, work)


def needed(model: str, after: str) -> str:
    """The steps that a rollout needs."""
    return " ".join(step for step in (model, after) if step not in ("base", ""))


def first_of_each(problems: Sequence[Problem], n: int) -> list[Problem]:
    """The first problems of each family."""
    families: dict[str, list[Problem]] = {}
    for problem in problems:
        families.setdefault(problem.family, []).append(problem)
    return [problem for some in families.values() for problem in some[:n]]


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
    return [step.name for step in chain(config, Path())]
