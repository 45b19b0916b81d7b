"""The training problems of Hint-RFT: the sources of START's D_train, at pinned hub revisions.

    python -m recipes.data --config recipes/configs/qwq-32b.toml --out problems.jsonl

Prints the counts per source next to the paper's (EMNLP version, table 9). The paper does not
disclose which problems of a source it used: the rules here are ours, and are documented at each
function that makes a problem. A JSONL or Parquet file with the same columns can replace a source
(`math=my.jsonl`).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path
from random import Random

from recipes import reasoning_gym, suites
from recipes.command import command_line, given, program
from recipes.config import Config
from recipes.suites import SOURCES, CodeProblem, Problem, Row
from recipes.tiny.families import GROUPS, KEPT_FROM_TRAINING
from start_sdk import ConfigError
from start_sdk.batch import read_records
from start_sdk.cli import check_writable, say
from start_sdk.grading import last_boxed
from start_sdk.grading.livecodebench import read_task

MAX_CASES, MAX_CHARS = 20, 20_000
"""Of a code task: tests, and characters of all of them together. The sets have up to hundreds, some
of megabytes, and every row of a rollout holds its problem."""
Tests = tuple[tuple[str, str], ...]


def training_problems(config: Config) -> list[Problem]:
    """The problems of all sources, in order; ids begin with the source or the family.

    Raises:
        ConfigError: an unknown source, a column that is missing, or a source without a problem.
        MissingExtra: a source of the hub without the library that reads it.
    """
    found: list[Problem] = []
    for source in config.problems.sources:
        n = config.problems.take.get(source, 0)
        if not n and source in ("tiny", reasoning_gym.NAME):
            raise ConfigError(f"problems.take.{source} is missing: problems of each family")
        if source == "tiny":
            groups = GROUPS[config.problems.families]
            families = [family for family in groups if family.name not in KEPT_FROM_TRAINING]
            found += suites.tiny(families, n, config.seed, "train")
        elif source == reasoning_gym.NAME:
            levels, kept = config.evaluation.levels, set(config.evaluation.kept)
            if unknown := kept - levels.keys():
                raise ConfigError(f"evaluation.kept: {min(unknown)!r} is not in evaluation.levels")
            trained = {kind: level for kind, level in levels.items() if kind not in kept}
            found += reasoning_gym.draw(trained, "train", n, config.seed)
        else:
            found += drawn(source, config)
    if not found:
        raise ConfigError("problems.sources is empty")
    if len({problem.id for problem in found}) < len(found):
        raise ConfigError("two problems have the same id: is a source listed twice?")
    return found


def drawn(source: str, config: Config) -> list[Problem]:
    """The problems of NAME or NAME=FILE, at most as many as the config takes."""
    name, _, file = source.partition("=")
    found = list(load(name, Path(file) if file else None))
    if not found:
        raise ConfigError(f"{source} contains no problem that can be used for training")
    take = min(config.problems.take.get(name, len(found)), len(found))
    order = Random(f"{config.seed}:{name}").sample(range(len(found)), take)
    return [found[i] for i in sorted(order)]


def load(name: str, file: Path | None = None) -> Iterator[Problem]:
    """The problems of a source, from the hub or from a file of the same columns.

    Raises:
        ConfigError: an unknown source, or a row without one of the columns that it needs.
        MissingExtra: the library that reads it is not installed.
    """
    if name not in SOURCES:
        known = ", ".join(("tiny", reasoning_gym.NAME, *SOURCES))
        raise ConfigError(f"{name!r} is not a source of problems: {known}")
    source, seen = SOURCES[name], set[str]()
    rows = read_records(file) if file else source.rows()
    for number, problem in suites.converted(rows, str(file or source.path), PROBLEM[name]):
        if problem.question not in seen:
            seen.add(problem.question)
            yield replace(problem, id=f"{name}-{problem.id or number}", family=name)


def _aime(row: Row) -> Problem | None:
    """Before 2024: AIME24 is evaluated on."""
    if int(row["Year"]) >= 2024:
        return None
    return Problem(str(row["ID"]), str(row["Question"]), str(row["Answer"]))


def _boxed(row: Row) -> Problem | None:
    """Solutions without a box are proofs, or have no answer that could be compared."""
    gold = last_boxed(str(row["solution"]))
    return Problem("", str(row["problem"]), gold) if gold else None


def _codeforces(row: Row) -> Problem | None:
    """Programs that read standard input and have one right output: no checker, no interaction."""
    if row["input_mode"] != "stdio" or row["interaction_format"] or row["generated_checker"]:
        return None
    samples, hidden = (
        tuple((str(test["input"]), str(test["output"])) for test in row[name] or ())
        for name in ("examples", "official_tests")
    )
    heads = {"Input": row["input_format"], "Output": row["output_format"], "Note": row["note"]}
    parts = [row["title"], row["description"]]
    parts += [f"{head}\n{text}" for head, text in heads.items() if text]
    parts += [f"Example input\n{given}\nExample output\n{output}" for given, output in samples]
    text = "\n\n".join(str(part).strip() for part in parts if part)
    return _program(str(row["id"]), text, samples, samples + hidden)


def _code_contests(row: Row) -> Problem | None:
    """Without those of Codeforces, which is a source of its own, and without files as input."""
    if row["source"] == 2 or row["input_file"]:  # 2 is the number of Codeforces
        return None
    samples, hidden = (
        tuple(zip(row[name]["input"], row[name]["output"], strict=True))
        for name in ("public_tests", "private_tests")
    )
    return _program(str(row["name"]), str(row["description"]), samples, samples + hidden)


def _livecodebench(row: Row) -> Problem | None:
    """Before July 2024: later problems are evaluated on."""
    if str(row["contest_date"]) >= "2024-07-01":
        return None
    task, tests = read_task(row)
    begin = f"\n\nBegin with this code:\n```python\n{task.starter}\n```" if task.starter else ""
    cases = tuple((test.given, test.expected) for test in tests)
    found = _program(task.id, task.question + begin, cases[: len(task.samples)], cases)
    return found and replace(found, starter=task.starter, function=task.function)


def _program(key: str, question: str, samples: Tests, tests: Tests) -> CodeProblem | None:
    """A problem with the first tests, as many as fit; None if the first one does not."""
    sizes = accumulate(len(typed) + len(expected) for typed, expected in tests)
    fitting = sum(size <= MAX_CHARS for size in sizes)
    cases = tests[: min(fitting, MAX_CASES)]
    return CodeProblem(key, question, "", samples=samples, cases=cases) if cases else None


PROBLEM: dict[str, Callable[[Row], Problem | None]] = {
    "aime": _aime,
    "math": _boxed,
    "numina": _boxed,
    "codeforces": _codeforces,
    "code_contests": _code_contests,
    "livecodebench": _livecodebench,
}
"""How a row of a source becomes a problem; None for one that is left out."""


def main() -> int:
    """Loads the problems of a config; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.data", __doc__, needs_config=True, out="file for the problems")
    options = parser.parse_args()

    def body() -> None:
        found = training_problems(given(options))
        for name, count in Counter(problem.family for problem in found).items():
            paper = f" (the paper's: {SOURCES[name].paper})" if name in SOURCES else ""
            say(f"{name}: {count}{paper}")
        if options.out:
            check_writable(options.out)
            lines = (json.dumps(asdict(problem)) + "\n" for problem in found)
            options.out.write_text("".join(lines), encoding="utf-8")

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
