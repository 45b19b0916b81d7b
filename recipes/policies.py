"""The names of policies: how a question is asked, hinted, and thought about again.

- `none`: without a hint; `no-tool`: without Python, too, so that blocks of code stay text.
- `prompt:direct`, `prompt:designed`, `prompt:few-shot`: a request for Python in the question.
- `end`, `connective`, or with an id, `end:HINT`: a hint where the thought would end, or after a
  word such as "Wait": the first such word, or in an existing trace one that the seed draws. Two
  places are for existing traces only: `last-wait`, after the last "wait" (EMNLP version of the
  paper), and `start`, where the thought begins: ours, for models that seldom write a connective.
- `debug`: the paper's hint for code problems, filled in for each, where the thought would end.
- `rounds:N`: N hints, one round after the other (the paper's figure 5); `wait:N`: N times "Wait" in
  place of the end, without Python (budget forcing, s1, arXiv 2501.19393).
- `calculation`, `unsure` and the other policies that `start-sdk ask` takes, plugins among them;
  those that measure surprise need `--sampling logprobs=true`.
- `learned:FOLDER` (recipes/fit_policy.py).

A policy that names no hint takes the one of `--hint`, else one that suits the problem: in its
language, one of the science hints on science problems, the debug hint on programs. At the end of a
mathematical thought that is the paper's general hint; after a connective, one that the seed draws.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

from recipes.config import Config
from recipes.suites import SCIENCE, CodeProblem, Problem, TinyTask
from recipes.tiny.prompts import PROMPTS
from start_sdk import ConfigError, Hint, HintPolicy, InsertionPoint, ReasoningSession, Trace
from start_sdk.batch import fingerprint
from start_sdk.cli import load_policy
from start_sdk.hints import (
    AfterConnective,
    BeforeEnd,
    HintLibrary,
    Learned,
    NoHints,
    debug_hint,
    draw_insertion_point,
    find_insertion_points,
    round_hints,
)
from start_sdk.trace import Position

WAITS = ("Wait", "wait")
STAGED = ("last-wait", "start")
PLACES = ("end", "connective", *STAGED, "debug")
"""Where a hint can be inserted into an existing trace; of `STAGED`, only there."""
AGAIN = ("rounds", "wait")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def parts(name: str) -> tuple[str, str]:
    """The kind of a policy, and what follows its colon."""
    kind, _, what = name.partition(":")
    return kind, what


def check(
    names: Sequence[str], config: Config, problems: Sequence[Problem], *, staged: bool
) -> None:
    """Raises ConfigError for an unknown policy, or if no problem takes any, before any work.

    Args:
        names: of policies.
        config: the run.
        problems: that they are used on.
        staged: whether hints go into traces that are there already.
    """
    library(config)
    for name in names:
        kind, what = parts(name)
        if kind in STAGED and not staged:
            raise ConfigError(f"hints: {name} needs an existing trace: give --after, or --staged")
        if kind == "prompt" and what not in PROMPTS:
            raise ConfigError(f"hints: {name!r} is none of prompt:{', prompt:'.join(PROMPTS)}")
        if kind in AGAIN and not (what.isdecimal() and int(what)):
            raise ConfigError(f"hints: {name!r}: give the number of rounds, e.g. {kind}:3")
        if what and kind not in ("prompt", "learned", *AGAIN, *PLACES[:-1]):
            raise ConfigError(f"hints: {name!r}: {kind!r} is no policy that takes a hint")
        if kind not in PLACES and problems:
            policy_of(name, problems[0], config, 0)
        for problem in problems if kind in PLACES else ():
            if fits(name, problem):
                hint_of(name, problem, config, 0)
    if not any(fits(name, problem) for name in names for problem in problems):
        raise ConfigError(f"none of the problems takes the policies {', '.join(names)}")


def fits(name: str, problem: Problem) -> bool:
    """Whether a policy is for a problem: `debug` for programs, those that name a place and a hint
    for the others, `end` for all. The miniature's code tasks take any."""
    if isinstance(problem, TinyTask) or name == "end" or parts(name)[0] not in PLACES:
        return True
    return (name == "debug") == isinstance(problem, CodeProblem)


def policy_of(name: str, problem: Problem, config: Config, seed: int) -> HintPolicy:
    """The policy of a name, for a model that begins a thought.

    Raises:
        ConfigError: there is none.
    """
    kind, what = parts(name)
    if kind in ("none", "no-tool", "prompt", *AGAIN):
        return NoHints()
    if kind in ("end", "debug"):
        return BeforeEnd(hints=(hint_of(name, problem, config, seed),))
    if kind == "connective":
        hints, words = hints_of(name, problem, config), connectives(problem, config)
        return AfterConnective(words=words, hints=hints, seed=config.seed)
    if kind == "learned":
        own = Path(what) / f"without-{problem.family}.json"
        return Learned.load(own if own.exists() else Path(what) / "all.json", library(config))
    return load_policy(name, rounds=1, seed=config.seed)


def hint_of(name: str, problem: Problem, config: Config, seed: int) -> Hint:
    """The hint that a policy inserts into a thought about this problem; raises as `hints_of`."""
    return Random(f"{seed}:hint").choice(hints_of(name, problem, config))


def hints_of(name: str, problem: Problem, config: Config) -> tuple[Hint, ...]:
    """The hints that a policy draws from for this problem.

    Raises:
        ConfigError: an unknown id, a library that has none, or `debug` for a problem without sample
            tests.
    """
    kind, what = parts(name)
    hints, lang, chosen = library(config), language(problem), what or config.hint
    if kind == "debug" or (isinstance(problem, CodeProblem) and problem.samples and not chosen):
        return (_debug(problem),)
    if chosen:
        return (hints.get(chosen),)
    position: Position = "connective" if kind == "connective" else "end"
    science = problem.family.casefold() in SCIENCE
    if science and (found := hints.select(domain="science", lang=lang, position=position)):
        return found
    if position == "end":
        return (hints.get("zh-general" if lang == "zh" else "general"),)
    if not (found := hints.select(domain="math", lang=lang, position=position)):
        raise ConfigError(f"the library has no hint of mathematics for a {position}, lang={lang!r}")
    return found


def language(problem: Problem) -> str:
    """The language of the hints that suit a question."""
    return "zh" if _CHINESE.search(problem.question) else "en"


def connectives(problem: Problem, config: Config) -> tuple[str, ...]:
    """The words of a question's language after which a hint may be inserted."""
    return library(config).connectives.get(language(problem), ())


def library(config: Config) -> HintLibrary:
    """The hints to choose from."""
    return _read_library(config.library)


_read_library = cache(HintLibrary.load)


def key_of(name: str, key: str) -> str:
    """The key of a policy's rows: the one of all others, for a learned policy with its content."""
    kind, what = parts(name)
    if kind != "learned":
        return key
    files = sorted(Path(what).glob("*.json"))
    return fingerprint([key, *(file.read_text(encoding="utf-8") for file in files)])


def again(name: str, config: Config) -> list[Hint]:
    """The hints of `rounds:N` or `wait:N`."""
    kind, what = parts(name)
    hints, times = library(config), int(what)
    return round_hints(times, hints) if kind == "rounds" else [hints.get("wait")] * times


def point_of(
    name: str, trace: Trace, session: ReasoningSession, seed: int, words: Sequence[str]
) -> InsertionPoint:
    """Where the hint of a policy goes in a trace that the session resumes; `words` are the
    connectives.

    Raises:
        ConfigError: the trace has no such position.
    """
    kind = parts(name)[0]
    if kind == "start":
        at = len(trace.segments[0].token_ids)
        return InsertionPoint(at=at, position="end", trigger="")
    words = WAITS if kind == "last-wait" else words
    position = "connective" if kind in ("connective", "last-wait") else "end"
    found = find_insertion_points(trace, session.tokenizer, session.format, words)
    points = [point for point in found if point.position == position]
    if not points:
        raise ConfigError(f"the thought has no insertion point for the hint {name}")
    if kind == "connective":
        return draw_insertion_point(points, seed=seed, trace_id=trace.id)
    return points[-1]


def _debug(problem: Problem) -> Hint:
    """The debug hint; it shows arguments as Python writes them.

    Raises:
        ConfigError: the problem has no sample tests.
    """
    if not isinstance(problem, CodeProblem | TinyTask) or not problem.samples:
        raise ConfigError(
            f"problem {problem.id}: the debug hint needs a code problem with sample tests"
        )
    starter = problem.starter if isinstance(problem, CodeProblem) else "def f(n):\n    ..."
    if not starter:
        return debug_hint(problem.samples)
    samples = [(_arguments(given), expected) for given, expected in problem.samples]
    return debug_hint(samples, starter_code=starter)


def _arguments(given: str) -> str:
    """The arguments of a call, from an input: one in JSON on each line."""
    lines = [line for line in given.split("\n") if line.strip()]
    try:
        return ", ".join(repr(json.loads(line)) for line in lines)
    except ValueError:  # as it is written
        return ", ".join(lines)
