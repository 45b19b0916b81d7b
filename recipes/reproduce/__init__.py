"""Hint-RFT from a base model to START, with controls and evaluations (START, section 3).

`chain` is the whole of it, a list of calls; `Steps` makes each of them happen once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from recipes.config import Config
from recipes.hint_rft import curate
from recipes.problems import held_out
from recipes.rollout import rollout
from recipes.settings import Curation, RolloutConfig, Training
from recipes.suites import Problem
from recipes.train_sft import ASIDE, train
from start_sdk import ConfigError
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say

Report = dict[str, Any]
COMMON = ("backend", "backend_options", "prompt", "template", "sampling", "limits", "conclude",
          "library", "hint", "seed", "problems")  # fmt: skip
"""Parts of the config that every step depends on."""
RECORD = "step.json"


class Step(Protocol):
    """Does one step of a chain, or notes it down."""

    def __call__(
        self, name: str, work: Callable[[Path], Report], about: str, reads: str, needs: str = ""
    ) -> None:
        """Args:
        name: of the step, and of its folder.
        work: does it in that folder, and continues where it was stopped; returns its report.
        about: what it does, in a few words.
        reads: parts of the config that it depends on, beside `COMMON`.
        needs: names of the steps whose folders it reads.
        """


def chain(config: Config, out: Path, step: Step) -> None:
    """All steps of a run, in order. Each writes to its own folder of `out`.

    Raises:
        ConfigError: unselected seed data without hints for all problems.
    """
    if "unselected" in config.controls and config.hinted.only_wrong:
        raise ConfigError("the control `unselected` requires hinted.only_wrong = false")
    controls, seed, start = config.controls, config.seed_data, config.start_data
    plain, hinted, text, sampled = (out / n for n in ("plain", "hinted", "text", "sampled"))
    easy = text if start.easy_from is not None else None

    def run(name: str, about: str, needs: str = "", **options: Any) -> None:
        work = partial(rollout, config, part=getattr(config, name), **options)
        step(name, work, about, name, needs)

    def data(name: str, about: str, rules: str, needs: str, *make: Any, **folders: Any) -> None:
        def work(folder: Path) -> Report:
            made: Curation = make[0]() if make else getattr(config, rules)
            rollouts = [out / one for one in needs.split() if one in ("hinted", "sampled", "text")]
            return curate(config, folder, made, rollouts, **folders)

        step(name, work, about, f"{rules} evaluation", needs)

    def model(name: str, about: str, on: str, needs: str = "", **changes: Any) -> None:
        def work(folder: Path) -> Report:
            made = {key: value() if callable(value) else value for key, value in changes.items()}
            return trained(config, folder, out / on / "data.jsonl", **made)

        reads = "training text_learning_rate" if name == "text-rft" else "training"
        step(name, work, about, reads, f"{on} {needs}")

    run("plain", "the base model without hints")
    run("hinted", "hints inserted into its thoughts", "plain", after=plain)
    data("d-seed", "what hints turned right", "seed_data", "plain hinted", plain=plain)
    model("start-0", "the base model trained on D_seed", "d-seed")
    if easy or "text" in controls:
        run("text", "the base model without a tool, sampled")
    run("sampled", "START-0, sampled", "start-0", model=str(out / "start-0" / "model"))
    from_start_0 = "sampled text" if easy else "sampled"
    data("d-start", "one right trace of each problem", "start_data", from_start_0, easy=easy)
    model("start", "the base model trained on D_START", "d-start")
    if "text" in controls:
        texts = start.model_copy(update={"needs_call": False, "easy_from": None})
        data("d-text", "one right text of each problem", "start_data", "text", lambda: texts)

        def epochs() -> float:  # as many tokens as START has: fewer traces, more often
            tokens = [report_of(out / name)["tokens"] for name in ("start", "d-text")]
            return config.training.epochs * tokens[0] / tokens[1]

        rate = config.text_learning_rate or config.training.learning_rate
        about = "the base model trained on as many tokens of text"
        model("text-rft", about, "d-text", "start", epochs=epochs, learning_rate=rate)
    if "unselected" in controls:

        def as_many() -> Curation:
            size = report_of(out / "d-seed")["kept"]
            return seed.model_copy(update={"rescued": False, "size": size})

        about = "as much seed data, unselected"
        data("d-unselected", about, "seed_data", "d-seed hinted", as_many)
        model("unselected", "the base model trained on it", "d-unselected")
    if "masked" in controls:
        model("masked", "trained on D_seed, hints without loss", "d-seed", train_on=("model",))
    if "longer" in controls:
        twice = 2 * config.training.epochs
        model("longer", "trained on D_seed for twice as long", "d-seed", epochs=twice)
    if config.evaluation.suites:
        evaluations(config, out, step)


def evaluations(config: Config, out: Path, step: Step) -> None:
    """Every model on held-out problems, and rounds of hints."""
    evaluation = config.evaluation
    once = RolloutConfig(samples=evaluation.samples, temperature=evaluation.temperature)

    def run(name: str, about: str, model: str, part: RolloutConfig, **options: Any) -> None:
        def work(folder: Path) -> Report:
            problems = held_out(evaluation, config.problems.families)
            if name.startswith("rounds"):
                problems = first_of_each(problems, evaluation.rounds_n)
            thinks = None if model == "base" else str(out / model / "model")
            return rollout(config, folder, part, model=thinks, problems=problems, **options)

        after = [options["after"].name] if options.get("after") else []
        needs = [model] if model != "base" else []
        step(name, work, about, "evaluation hinted", " ".join(needs + after))

    both = once.model_copy(update={"hints": ("none", "no-tool")})
    run("eval-base", "the base model on held-out problems", "base", both)
    # Greedy, each hint goes into the trace of the base model; else each sample is a new thought.
    base = out / "eval-base" if evaluation.samples == 1 else None
    hints = once.model_copy(update={"hints": config.hinted.hints})
    run("eval-hinted", "Hint-infer on them", "base", hints, after=base)
    made = {"text": "text-rft", "unselected": "unselected", "masked": "masked", "longer": "longer"}
    for name in ("start-0", "start", *(made[control] for control in config.controls)):
        run(f"eval-{name}", f"{name} on held-out problems", name, once)
    if evaluation.rounds and evaluation.samples == 1:
        again = once.model_copy(update={"hints": (f"rounds:{evaluation.rounds}",)})
        for name in ("base", "start"):
            about, after = f"rounds of hints, {name}", out / f"eval-{name}"
            run(f"rounds-{name}", about, name, again, after=after)


def first_of_each(problems: Sequence[Problem], n: int) -> list[Problem]:
    """The first problems of each family."""
    taken = Counter[str]()
    found = []
    for problem in problems:
        taken[problem.family] += 1
        if taken[problem.family] <= n:
            found.append(problem)
    return found


def trained(config: Config, folder: Path, data: Path, **changes: Any) -> Report:
    """The base model trained on a training set: in this process, or by `accelerate launch`."""
    training = Training(**{**config.training.model_dump(), **changes})
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


class Steps:
    """Does each step of a chain once, and skips those that are done.

    A finished step writes step.json to its folder, with a key of all that it depends on. A folder
    that belongs to another run is refused; with `check` as the step of a chain, before any work.
    """

    def __init__(self, config: Config, out: Path) -> None:
        self._config = config
        self._out = out
        self._base = model_hash(config.base)
        self._keys: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def __call__(
        self, name: str, work: Callable[[Path], Report], about: str, reads: str, needs: str = ""
    ) -> None:
        self.check(name, work, about, reads, needs)
        if name in self.seconds:
            say(f"{name}: {about}: already done", error=True)
            return
        say(f"{name}: {about}", error=True)
        folder, began = self._out / name, time.monotonic()
        report = work(folder)
        self.seconds[name] = round(time.monotonic() - began, 1)
        record = {"key": self._keys[name], "seconds": self.seconds[name], "report": report}
        unfinished = folder / f"{RECORD}.part"  # whole or not at all: it says that the step is done
        unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / RECORD)
        say(f"{name}: {self.seconds[name]:.0f} s", error=True)

    def check(
        self, name: str, _: Callable[[Path], Report], about: str, reads: str, needs: str = ""
    ) -> None:
        """Notes what a step depends on, and whether it is done.

        Raises:
            ConfigError: its folder holds the step of another run.
        """
        parts = self._config.model_dump(mode="json", include={*COMMON, *reads.split()})
        for option in ASIDE:
            parts.get("training", {}).pop(option, None)
        before = [self._keys[need] for need in needs.split()]
        self._keys[name] = fingerprint([name, self._base, parts, before])
        folder = self._out / name
        if (folder / RECORD).exists():
            record = record_of(folder)
            if record["key"] != self._keys[name]:
                raise ConfigError(
                    f"{str(folder)!r} was made with other options: give another --out, or remove "
                    "that folder and the folders that depend on it"
                )
            self.seconds[name] = record["seconds"]


def record_of(folder: Path) -> Report:
    """What a finished step wrote down.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        found: Report = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(folder / RECORD)!r} cannot be read: {error}") from error
    return found


def report_of(folder: Path) -> Report:
    """The report of a finished step; the same error."""
    report: Report = record_of(folder)["report"]
    return report


def names(config: Config) -> list[str]:
    """The steps of a run, in order."""
    found: list[str] = []
    chain(config, Path(), lambda name, *_, **__: found.append(name))
    return found
