"""Problems that the package reasoning-gym generates, and its own scorers.

A kind is one of its generators, a level the keyword arguments that make its problems as hard as a
model needs (`evaluation.levels`). The package seeds problem i of a draw with seed + i, so that two
draws may hold the same question. Here a hash of the question decides the split it belongs to:
draws of different splits never share one, whatever their seeds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from recipes.suites import Problem
from recipes.tiny.world import Split
from start_sdk import ConfigError, MissingExtra, StartError

NAME = "reasoning_gym"
"""Of the suite, and of the source of training problems."""
Level = Mapping[str, Any]
TRIES = 100
"""Problems generated for each that is asked for: most levels have enough of every split in 4."""
RUN_ANSWERS = {
    "binary_matrix", "countdown", "intermediate_integration", "n_queens",
    "polynomial_multiplication", "puzzle24", "simple_integration", "spiral_matrix",
    "string_insertion",
}  # fmt: skip
"""Kinds whose scorers evaluate an answer as Python code, in this process: they are refused."""


@dataclass(frozen=True)
class GymProblem(Problem):
    """A problem of reasoning-gym, with what its scorer reads."""

    level: Level = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the package's entry, as JSON has it; empty where the scorer reads only the answer."""


def draw(levels: Mapping[str, Level], split: Split, n: int, seed: int) -> list[Problem]:
    """`n` distinct problems of each kind, which is their family.

    Args:
        levels: the keyword arguments of `reasoning_gym.create_dataset`, by kind.
        split: whose questions are drawn.
        n: problems of each kind.
        seed: draws them.

    Raises:
        ConfigError: no kind, an unknown one, a level that it does not take, or one with fewer
            distinct questions.
        MissingExtra: reasoning-gym is not installed.
    """
    if not levels:
        raise ConfigError(f"{NAME} has no kinds: the config names them in [evaluation.levels]")
    return [p for kind, level in levels.items() for p in _drawn(kind, level, split, n, seed)]


def split_of(question: str) -> Split:
    """The split that a question belongs to: a third of the questions each."""
    splits: tuple[Split, ...] = get_args(Split)
    return splits[_number(question) % len(splits)]


def score(problem: GymProblem, answer: str | None) -> float:
    """What the package's scorer gives an answer; 1.0 is right.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    entry = {"question": problem.question, "answer": problem.gold, "metadata": problem.metadata}
    try:
        return float(_dataset(problem.family, problem.level).score_answer(answer, entry))
    except StartError:
        raise
    except Exception:  # a boundary: scorers read what a model wrote
        return 0.0


def _drawn(kind: str, level: Level, split: Split, n: int, seed: int) -> list[Problem]:
    found: dict[str, Problem] = {}
    try:
        dataset = _dataset(kind, level, seed=_number(f"{kind}:{split}:{seed}"), size=n * TRIES)
        from reasoning_gym.dataset import ProceduralDataset

        reads_answers_alone = type(dataset).score_answer is ProceduralDataset.score_answer
        for entry in dataset:
            question, gold = entry["question"], entry["answer"]
            if question in found or split_of(question) != split:
                continue
            if dataset.score_answer(gold, entry) < 1:  # such as 0 in another base: no digits
                continue
            key = f"{kind}-{split}-{seed}-{len(found)}"
            read = {} if reads_answers_alone else entry["metadata"]
            about = {"level": dict(level), "metadata": json.loads(json.dumps(read, default=str))}
            found[question] = GymProblem(key, question, gold, family=kind, **about)
            if len(found) == n:
                return list(found.values())
    except StartError:
        raise
    except Exception as error:  # a boundary: a level may break a generator anywhere
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"{NAME}: the level of {kind}: {why}") from error
    distinct = f"{len(found)} distinct questions of the split {split}, not {n}"
    raise ConfigError(f"{NAME}: {kind} has {distinct}: change its level")


def _dataset(kind: str, level: Level, **more: int) -> Any:
    """The package's generator of a kind.

    Raises:
        ConfigError: an unknown kind, or one that is refused.
        MissingExtra: reasoning-gym is not installed.
        Exception: of any kind, for a level that it does not take.
    """
    try:
        from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as error:
        raise MissingExtra("reasoning_gym", "gym") from error
    if kind not in DATASETS:
        raise ConfigError(f"{NAME}: there is no kind {kind!r}")
    if kind in RUN_ANSWERS:
        raise ConfigError(f"{NAME}: the scorer of {kind} runs answers as Python code")
    return create_dataset(kind, **level, **more)


def _number(text: str) -> int:
    """A number below 2^31, the same on every machine and run."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
