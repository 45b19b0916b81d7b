"""The names of hints in a config of Hint-RFT, and what they mean.

A name is `none`, `POSITION` or `POSITION:HINT`. The positions:

- `end`: where the thought would end;
- `connective`: after a word such as "Wait", drawn by the seed;
- `last-wait`: after the last "wait" (EMNLP version); only in an existing trace;
- `debug`: the paper's hint for code problems, filled in for each, where the thought would end. Code
  problems get only this hint, and no other problems get it; the miniature's code tasks get any.

HINT is an id of the library. The default is `general`, and after a connective one of the math
hints, drawn by the seed. Where a model generates a new thought, a plugin's policy can be named too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from recipes.suites import CodeProblem, Problem, TinyTask
from start_sdk import (
    AfterConnective,
    BeforeEnd,
    ConfigError,
    Hint,
    HintLibrary,
    HintPolicy,
    InsertionPoint,
    Tokenizer,
    Trace,
    draw_insertion_point,
    find_insertion_points,
    last_insertion_point,
)
from start_sdk.cli import load_policy
from start_sdk.hints import debug_hint

WAITS = ("Wait", "wait")
STAGED = ("none", "end", "connective", "last-wait", "debug")


def check_hints(names: Sequence[str], *, staged: bool) -> None:
    """Raises ConfigError for a name that stands for nothing, before any work.

    Args:
        names: of the config.
        staged: whether hints go into traces that are there already.
    """
    for name in names:
        position, _, hint_id = name.partition(":")
        if hint_id:
            HintLibrary.load().get(hint_id)
        if staged and position not in STAGED:
            raise ConfigError(f"hints: {name!r} cannot go into a trace; positions: {STAGED}")
        if not staged and position == "last-wait":
            raise ConfigError("hints: last-wait needs an existing rollout: give --after")
        if hint_id and position not in ("end", "connective", "last-wait"):
            raise ConfigError(f"hints: {name!r}: {position} does not take a hint")
        if position not in STAGED:
            load_policy(position, rounds=1, seed=0)


def fits(name: str, problem: Problem) -> bool:
    """Whether a hint is for a problem: `debug` for code problems, all others for the rest. The
    miniature's code tasks take any."""
    if name == "none" or isinstance(problem, TinyTask):
        return True
    return (name == "debug") == isinstance(problem, CodeProblem)


def check_samples(problems: Sequence[Problem]) -> None:
    """Raises ConfigError if the debug hint cannot be filled in for one of the problems."""
    for problem in problems:
        try:
            hint_of("debug", problem, 0)
        except ConfigError as error:
            raise ConfigError(f"--hints debug: problem {problem.id}: {error}") from error


def hint_of(name: str, problem: Problem, seed: int) -> Hint:
    """The hint of this name, for this problem."""
    position, _, hint_id = name.partition(":")
    library = HintLibrary.load()
    if position == "debug":
        if not isinstance(problem, CodeProblem | TinyTask) or not problem.samples:
            raise ConfigError("the debug hint needs a code problem with sample tests")
        return _debug(problem)
    if not hint_id and position == "connective":
        return Random(f"{seed}:hint").choice(
            list(library.select(domain="math", position="connective"))
        )
    return library.get(hint_id or "general")


def _debug(problem: CodeProblem | TinyTask) -> Hint:
    """The debug hint; it shows arguments as Python writes them."""
    starter = problem.starter if isinstance(problem, CodeProblem) else "def f(n):\n    ..."
    if not starter:
        return debug_hint(problem.samples)
    samples = [(_arguments(given), expected) for given, expected in problem.samples]
    return debug_hint(samples, starter_code=starter)


def _arguments(given: str) -> str:
    """The arguments of a call: an input has one a line, in JSON."""
    lines = [line for line in given.split("\n") if line.strip()]
    try:
        return ", ".join(repr(json.loads(line)) for line in lines)
    except ValueError:  # as it is written
        return ", ".join(lines)


def point_of(name: str, trace: Trace, tokenizer: Tokenizer, seed: int) -> InsertionPoint:
    """Where the hint of this name goes in a trace.

    Raises:
        ConfigError: the trace has no such position.
    """
    position = name.partition(":")[0]
    points = find_insertion_points(
        trace, tokenizer, words=WAITS if position == "last-wait" else None
    )
    point: InsertionPoint | None
    if position == "last-wait":
        point = last_insertion_point(points, WAITS)
    elif position == "connective":
        some = [s for s in points if s.position == "connective"]
        point = draw_insertion_point(some, seed=seed, trace_id=trace.id) if some else None
    else:
        point = next((s for s in points if s.position == "end"), None)
    if point is None:
        raise ConfigError(f"the thought has no insertion point for the hint {name}")
    return point


def policy_of(name: str, problem: Problem, seed: int) -> HintPolicy:
    """The policy of this name, for a model that thinks anew."""
    position, _, hint_id = name.partition(":")
    if position in ("end", "debug"):
        return BeforeEnd(hints=(hint_of(name, problem, seed),))
    if position == "connective":
        return AfterConnective(hints=(hint_id,) if hint_id else None, seed=seed)
    return load_policy(position, rounds=1, seed=seed)
