"""The training problems of Hint-RFT: the sources of START's D_train, at pinned hub revisions.

    python -m recipes.data --config recipes/configs/qwq-32b.toml --out problems.jsonl

Prints the counts per source next to the paper's (EMNLP version, table 9). The paper does not
disclose which problems of a source it used: the rules here are ours, and are documented at each
source. A JSONL or Parquet file with the same columns can replace a source (`math=my.jsonl`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from recipes import reasoning_gym, suites
from recipes.command import command_line, given, program
from recipes.config import Config
from recipes.livecodebench import function_of
from recipes.livecodebench.encoding import Test, all_tests, public_tests
from recipes.suites import CodeProblem, Problem
from recipes.tiny.families import GROUPS, KEPT_FROM_TRAINING
from start_sdk import ConfigError, MissingExtra
from start_sdk.cli import check_writable, say
from start_sdk.grading import last_boxed

MAX_CASES, MAX_CHARS = 20, 20_000
"""Of a code task: tests, and characters of all of them together. The sets have up to hundreds, some
of megabytes, and every row of a rollout holds its problem."""
Tests = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """Where problems lie on the hub, which columns they need, and how a row becomes a problem."""

    path: str
    revision: str
    columns: tuple[str, ...]
    problem: Callable[[dict[str, Any]], Problem | None]
    """None for a row that is left out."""
    paper: int
    """Problems that the paper trained on."""
    subsets: tuple[str | None, ...] = (None,)
    files: tuple[str, ...] = ()
    """Where the hub has a script in place of data: the files themselves."""


def training_problems(config: Config) -> list[Problem]:
    """The problems of all sources, in order; ids begin with the source's name.

    Raises:
        ConfigError: an unknown source, a column that is missing, or a source without a problem.
        MissingExtra: a source of the hub without the library that reads it.
    """
    found: list[Problem] = []
    for name in config.problems.sources:
        if name == "tiny":
            found += _tiny(config)
        elif name == reasoning_gym.NAME:
            found += _gym(config)
        else:
            found += _drawn(name, config)
    if not found:
        raise ConfigError("problems.sources is empty")
    if len({problem.id for problem in found}) < len(found):
        raise ConfigError("problems.sources lists a source twice")
    return found


def _tiny(config: Config) -> list[Problem]:
    families = [f for f in GROUPS[config.problems.families] if f.name not in KEPT_FROM_TRAINING]
    return suites.tiny(families, _of_each("tiny", config), config.seed, "train")


def _gym(config: Config) -> list[Problem]:
    kept, levels = set(config.evaluation.kept), config.evaluation.levels
    if unknown := kept - levels.keys():
        raise ConfigError(f"evaluation.kept: {min(unknown)!r} is not in evaluation.levels")
    trained = {kind: level for kind, level in levels.items() if kind not in kept}
    return reasoning_gym.draw(trained, "train", _of_each(reasoning_gym.NAME, config), config.seed)


def _of_each(source: str, config: Config) -> int:
    take = config.problems.take.get(source)
    if take is None:
        raise ConfigError(f"problems.take.{source} is missing: the number of problems per family")
    return take


def _drawn(text: str, config: Config) -> list[Problem]:
    name, _, file = text.partition("=")
    found = list(load(name, Path(file) if file else None))
    if not found:
        raise ConfigError(f"{text} contains no problem that can be used for training")
    take = config.problems.take.get(name, len(found))
    if take >= len(found):
        return found
    order = Random(f"{config.seed}:{name}").sample(range(len(found)), take)
    return [found[i] for i in sorted(order)]


def load(name: str, file: Path | None = None) -> Iterator[Problem]:
    """The problems of a source, from the hub or from a file of the same columns.

    Raises:
        ConfigError: an unknown source, or a row without one of the columns that it needs.
        MissingExtra: the library that reads it is not installed.
    """
    if name not in SOURCES:
        raise ConfigError(
            f"{name!r} is not a source of problems: tiny, {reasoning_gym.NAME}, "
            f"{', '.join(SOURCES)}"
        )
    if file is not None and not file.is_file():
        raise ConfigError(f"{name}={file}: no such file")
    source = SOURCES[name]
    rows: Iterable[dict[str, Any]] = suites.read_rows(file) if file else _hub_rows(source)
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if missing := [column for column in source.columns if column not in row]:
            raise ConfigError(
                f"{file or source.path}, row {number}: no {', '.join(missing)}; "
                f"it has {', '.join(row)}"
            )
        problem = source.problem(row)
        if problem is not None and problem.question not in seen:
            seen.add(problem.question)
            yield replace(problem, id=f"{name}-{problem.id or number}", family=name)


def _hub_rows(source: Source) -> Iterator[dict[str, Any]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtra(f"the source {source.path}", "eval") from error
    for subset in source.subsets:
        try:
            if source.files:
                at = f"hf://datasets/{source.path}@{source.revision}"
                files = [f"{at}/{file}" for file in source.files]
                kind = Path(source.files[0]).suffix.removeprefix(".").replace("jsonl", "json")
                rows: Any = load_dataset(kind, data_files=files, split="train")
            else:
                rows = load_dataset(source.path, subset, split="train", revision=source.revision)
        except Exception as error:  # the hub, its cache and its files raise a dozen kinds
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(f"{source.path} cannot be loaded: {first}") from error
        if missing := [c for c in source.columns if c not in rows.column_names]:
            raise ConfigError(f"{source.path} has no {', '.join(missing)}: {rows.column_names}")
        yield from rows.select_columns(list(source.columns))


def _aime(row: dict[str, Any]) -> Problem | None:
    """Before 2024: AIME24 is evaluated on."""
    if int(row["Year"]) >= 2024:
        return None
    return Problem(str(row["ID"]), str(row["Question"]), str(row["Answer"]))


def _boxed(row: dict[str, Any]) -> Problem | None:
    """Solutions without a box are proofs, or have no answer that could be compared."""
    gold = last_boxed(str(row["solution"]))
    return Problem("", str(row["problem"]), gold) if gold else None


def _codeforces(row: dict[str, Any]) -> Problem | None:
    """Programs that read standard input and have one right output: no checker, no interaction."""
    if row["input_mode"] != "stdio" or row["interaction_format"] or row["generated_checker"]:
        return None
    samples = _pairs(row["examples"] or ())
    parts = [row["title"], row["description"]]
    heads = {"Input": row["input_format"], "Output": row["output_format"], "Note": row["note"]}
    parts += [f"{head}\n{text}" for head, text in heads.items() if text]
    parts += [f"Example input\n{a}\nExample output\n{b}" for a, b in samples]
    cases = _fitting(samples + _pairs(row["official_tests"] or ()))
    text = "\n\n".join(str(part).strip() for part in parts if part)
    return CodeProblem(str(row["id"]), text, "", samples=samples, cases=cases) if cases else None


_FROM_CODEFORCES = 2  # number of that site in the column "source" of Code Contests


def _code_contests(row: dict[str, Any]) -> Problem | None:
    """Without those of Codeforces, which is a source of its own, and without files as input."""
    if row["source"] == _FROM_CODEFORCES or row["input_file"]:
        return None
    samples, hidden = (
        tuple(zip(row[name]["input"], row[name]["output"], strict=True))
        for name in ("public_tests", "private_tests")
    )
    cases = _fitting(samples + hidden)
    if not cases:
        return None
    return CodeProblem(str(row["name"]), str(row["description"]), "", samples=samples, cases=cases)


def _livecodebench(row: dict[str, Any]) -> Problem | None:
    """Before July 2024: later problems are evaluated on."""
    if str(row["contest_date"]) >= "2024-07-01":
        return None
    place = f"problem {row['question_id']}"
    tests = all_tests(row, place)
    starter, question = str(row["starter_code"] or ""), str(row["question_content"])
    if starter:
        question += f"\n\nBegin with this code:\n```python\n{starter}\n```"
    return CodeProblem(
        str(row["question_id"]),
        question,
        "",
        samples=_typed(public_tests(row, place)),
        cases=_fitting(_typed(tests)),
        starter=starter,
        function=function_of(row, tests, place),
    )


def _typed(tests: Iterable[Test]) -> Tests:
    return tuple((test.input, test.output) for test in tests)


def _pairs(tests: Iterable[dict[str, Any]]) -> Tests:
    return tuple((str(test["input"]), str(test["output"])) for test in tests)


def _fitting(tests: Tests) -> Tests:
    """The first tests, as many as fit."""
    kept: list[tuple[str, str]] = []
    room = MAX_CHARS
    for typed, expected in tests:
        room -= len(typed) + len(expected)
        if room < 0 or len(kept) == MAX_CASES:
            break
        kept.append((typed, expected))
    return tuple(kept)


_SUBJECTS = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory",
    "prealgebra", "precalculus",
)  # fmt: skip
SOURCES = {
    "aime": Source(
        "di-zhang-fdu/AIME_1983_2024", "3e2cc86390666c5c756622afc0eeb9e6194496bc",
        ("ID", "Year", "Question", "Answer"), _aime, 890,
    ),
    "math": Source(
        "EleutherAI/hendrycks_math", "21a5633873b6a120296cce3e2df9d5550074f4a3",
        ("problem", "solution"), _boxed, 7_500, subsets=_SUBJECTS,
    ),
    "numina": Source(
        "AI-MO/NuminaMath-CoT", "9d8d210c9f6a36c8f3cd84045668c9b7800ef517",
        ("problem", "solution"), _boxed, 28_505,
    ),
    "codeforces": Source(
        "open-r1/codeforces", "fbe3f6e903ee854eec2e69e9d96d0306cde59baf",
        ("id", "title", "description", "input_format", "output_format", "note", "examples",
         "official_tests", "input_mode", "interaction_format", "generated_checker"),
        _codeforces, 7_505, subsets=("verifiable",),
    ),
    "code_contests": Source(
        "deepmind/code_contests", "802411c3010cb00d1b05bad57ca77365a3c699d6",
        ("name", "description", "source", "input_file", "public_tests", "private_tests"),
        _code_contests, 2_011,
    ),
    "livecodebench": Source(
        "livecodebench/code_generation_lite", "0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
        ("question_id", "question_content", "contest_date", "starter_code", "metadata",
         "public_test_cases", "private_test_cases"),
        _livecodebench, 558, files=("test.jsonl", "test2.jsonl", "test3.jsonl"),
    ),
}  # fmt: skip


def main() -> int:
    """Loads the problems of a config; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.data", __doc__, needs_config=True, out="file for the problems")
    options = parser.parse_args()

    def body() -> None:
        found = training_problems(given(options))
        for name in dict.fromkeys(problem.family for problem in found):
            count = sum(problem.family == name for problem in found)
            paper = f" (the paper's: {SOURCES[name].paper})" if name in SOURCES else ""
            say(f"{name}: {count}{paper}")
        if options.out:
            check_writable(options.out)
            lines = (json.dumps(asdict(problem)) + "\n" for problem in found)
            options.out.write_text("".join(lines), encoding="utf-8")

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
