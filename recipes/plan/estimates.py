"""Estimates what the stages of a run take, from its config and the assumptions in `[plan]`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recipes.config import Config
from recipes.settings import RolloutConfig, Training

CODE = ("codeforces", "code_contests", "livecodebench")
"""Sources of code problems: those get the hint `debug`, all others the rest."""
DATA = {"start-0": "d-seed", "masked": "d-seed", "unselected": "d-unselected", "start": "d-start",
        "text-rft": "d-text"}  # fmt: skip
"""What the training stages train on."""


@dataclass(frozen=True)
class Counts:
    """Problems: of each source to train on, of each family to evaluate on."""

    training: Mapping[str, int]
    held_out: Mapping[str, int]

    @property
    def code(self) -> int:
        return sum(n for name, n in self.training.items() if name in CODE)

    @property
    def all(self) -> int:
        return sum(self.training.values())


@dataclass(frozen=True)
class Estimate:
    """What a stage takes. A stage that needs no device, such as a curation, has no tokens."""

    stage: str
    what: str = ""
    sampled: float = 0
    trained: float = 0
    steps: int = 0
    hours: float | None = None
    """Of one device, that is, device-hours; None if there is no speed to tell them from."""


class Estimator:
    """Counts what stages take, by their names (recipes/rft.py, recipes/reproduce).

    Sampled are problems x hints x samples x tokens of a thought; trained are rows x tokens of a
    trace x epochs, in ceil(epochs x ceil(rows / batch)) steps. Hours are tokens / speed.

    Args:
        config: the run, with its assumptions.
        counts: its problems.
    """

    def __init__(self, config: Config, counts: Counts) -> None:
        self._config, self._plan, self._counts = config, config.plan, counts
        most = config.limits.max_tokens
        self._thought = min(self._plan.thought or most, most)
        self._hinted = min(self._plan.hinted_thought or most, most)
        self._start = min(self._plan.start_thought or most, most)

    def of(self, stage: str) -> Estimate:
        """What a stage takes; nothing, if it is none that is known here."""
        config, counts = self._config, self._counts
        problems = (counts.all - counts.code, counts.code)
        held_out = (sum(counts.held_out.values()), 0)
        match stage:
            case "plain":
                return self._rollout(stage, problems, config.plain, self._thought)
            case "hinted":
                wrong = 1 - self._plan.correct if config.hinted.only_wrong else 1
                some = (round(problems[0] * wrong), round(problems[1] * wrong))
                return self._rollout(stage, some, config.hinted, self._hinted)
            case "text":
                return self._rollout(stage, problems, config.text, self._thought)
            case "sampled":
                return self._rollout(stage, problems, config.sampled, self._start)
            case "d-seed" | "d-start" | "d-text" | "d-unselected":
                return Estimate(stage, f"{self.rows(stage):,} rows")
            case "eval-hinted":
                anew = self._thought if config.evaluation.samples > 1 else 0
                hints = self._evaluation(config.hinted.hints)
                return self._rollout(stage, held_out, hints, anew + self._hinted)
            case "rounds-base" | "rounds-start":
                return self._rounds(stage)
        if stage in DATA:
            return self._training(stage)
        if stage.startswith("eval-"):
            thought = self._thought if stage in ("eval-base", "eval-text-rft") else self._start
            return self._rollout(stage, held_out, self._evaluation(("none",)), thought)
        return Estimate(stage)

    def rows(self, data: str) -> int:
        """Rows of a training set."""
        plan, seed, start = self._plan, self._config.seed_data, self._config.start_data
        if data in ("d-seed", "d-unselected"):  # the second is made as large as the first
            most = 1 - plan.correct if seed.rescued else 1.0
            share, size = min(plan.seed_share, most), seed.size
        else:
            share = plan.start_share if data == "d-start" else plan.text_share
            size = start.size
        found = round(share * self._counts.all)
        return found if size is None else min(found, size)

    def row_tokens(self, data: str) -> int:
        """Tokens of a row; longer ones than the training length are left out."""
        sampled = {"d-start": self._start, "d-text": self._thought}
        tokens = sampled.get(data, self._thought + self._hinted) + self._plan.spliced
        return min(tokens, self._config.training.max_length)

    def _rollout(
        self, stage: str, problems: tuple[int, int], part: RolloutConfig, thought: int
    ) -> Estimate:
        """Problems are those that get no `debug` hint, and code problems."""
        math_hints = sum(name != "debug" for name in part.hints)
        code_hints = sum(name in ("none", "debug") for name in part.hints)
        if math_hints == code_hints:
            problems = (sum(problems), 0)
        fits = [(n, h) for n, h in zip(problems, (math_hints, code_hints), strict=True) if n]
        what = " + ".join(_product(n, hints) for n, hints in fits) or "0"
        what = f"({what})" if len(fits) > 1 else what
        runs = sum(n * hints for n, hints in fits) * part.samples
        return self._sampled(stage, f"{what} x {part.samples} x {thought:,} tokens", runs * thought)

    def _evaluation(self, hints: tuple[str, ...]) -> RolloutConfig:
        return RolloutConfig(hints=hints, samples=self._config.evaluation.samples)

    def _rounds(self, stage: str) -> Estimate:
        evaluation = self._config.evaluation
        n = sum(min(size, evaluation.rounds_n) for size in self._counts.held_out.values())
        what = f"{n:,} x {evaluation.rounds} rounds x {self._hinted:,} tokens"
        return self._sampled(stage, what, n * evaluation.rounds * self._hinted)

    def _sampled(self, stage: str, what: str, tokens: float) -> Estimate:
        return Estimate(stage, what, sampled=tokens, hours=_hours(tokens, self._plan.rollout_speed))

    def _training(self, stage: str) -> Estimate:
        options, data = self._config.training, DATA[stage]
        rows, each = self.rows(data), self.row_tokens(data)
        epochs = options.epochs
        if stage == "text-rft" and rows:  # as many tokens as START
            epochs *= self.rows("d-start") * self.row_tokens("d-start") / (rows * each)
        tokens = rows * each * epochs
        return Estimate(
            stage,
            f"{rows:,} rows x {each:,} tokens x {epochs:.4g} epochs",
            trained=tokens,
            steps=steps(rows, each, epochs, options),
            hours=_hours(tokens, self._plan.training_speed),
        )


def steps(rows: int, each: int, epochs: float, options: Training) -> int:
    """Steps of a training, as transformers' Trainer counts them; packed rows count once."""
    sequences = rows
    if options.packing:
        sequences = math.ceil(rows / max(1, options.max_length // each))
    return math.ceil(epochs * math.ceil(sequences / options.batch))


def table(estimates: Sequence[Estimate]) -> list[str]:
    """Stages, a line each, and their sums."""
    whole = Estimate(
        "together",
        sampled=sum(e.sampled for e in estimates),
        trained=sum(e.trained for e in estimates),
        steps=sum(e.steps for e in estimates),
        hours=_sum([e.hours for e in estimates if e.sampled or e.trained]),
    )
    rows = [("stage", "problems and tokens", "sampled", "trained", "steps", "device-hours")]
    for e in (*estimates, whole):
        sampled, trained, made = (f"{n:,.0f}" if n else "" for n in (e.sampled, e.trained, e.steps))
        hours = _shown(e.hours) if e.sampled or e.trained else ""
        rows.append((e.stage, e.what, sampled, trained, made, hours))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_aligned, row, widths, range(6))).rstrip() for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _aligned(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column < 2 else text.rjust(width)


def durations(estimates: Sequence[Estimate], sampling: int, training: int) -> str:
    """How long the devices are busy, one stage behind the other, if more are as much faster."""
    sampled = _sum([e.hours for e in estimates if e.sampled])
    trained = _sum([e.hours for e in estimates if e.trained])
    if sampled is None or trained is None:
        return "hours: not known without plan.rollout_speed and plan.training_speed"
    hours = sampled / sampling + trained / training
    return (
        f"hours: {_shown(sampled)} / {sampling} sampling devices + {_shown(trained)} / {training} "
        f"training devices = {_shown(hours)}; loading, grading and saving come on top"
    )


def _hours(tokens: float, speed: float | None) -> float | None:
    return None if speed is None else tokens / speed / 3600


def _sum(hours: Sequence[float | None]) -> float | None:
    known = [h for h in hours if h is not None]
    return sum(known) if len(known) == len(hours) else None


def _shown(hours: float | None) -> str:
    if hours is None:
        return "?"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _product(problems: int, hints: int) -> str:
    return f"{problems:,} x {hints} hints" if hints != 1 else f"{problems:,}"
