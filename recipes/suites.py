"""Problems, and where they come from: named suites of the hub at pinned revisions, or files.

The suites are those of START's evaluation (arXiv 2503.04625, table 1) except LiveCodeBench. A file
is JSONL or Parquet with a suite's columns: `problem` (or `question`) and `answer`, or those of
GPQA; `id` is optional.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipes.tiny.world import Family, Split, problems
from start_sdk import ConfigError, MissingExtra
from start_sdk.batch import read_records

Row = dict[str, Any]
"""A row of a data set, by column."""


@dataclass(frozen=True)
class Problem:
    """One problem: its question, the right answer, and, for multiple choice, the wrong ones."""

    id: str
    question: str
    gold: str
    distractors: tuple[str, ...] = ()
    family: str = ""
    tests: tuple[tuple[int, int], ...] = ()
    """Of a code task: arguments and values of the function f that is asked for."""


@dataclass(frozen=True)
class CodeProblem(Problem):
    """A task whose answer is a program: it reads standard input, or a function of it is called."""

    samples: tuple[tuple[str, str], ...] = ()
    """Input and expected output of the tests that the question may show."""
    cases: tuple[tuple[str, str], ...] = ()
    """Those that the program has to pass."""
    starter: str = ""
    """Code that it begins with, if a function is asked for."""
    function: str = ""
    """That function, of a class `Solution` or a plain one: its arguments are the lines of an input,
    in JSON."""
    stored: str = ""
    """Where its tests are if they are too large for a row (start_sdk.grading.livecodebench)."""
    digest: str = ""
    """Of those tests."""


@dataclass(frozen=True)
class TinyTask(Problem):
    """A code task of the miniature: a function f of one integer."""

    samples: tuple[tuple[str, str], ...] = ()
    """Arguments and values that the question shows."""


@dataclass(frozen=True)
class DataSet:
    """A data set of the hub, at a pinned revision (recipes/datasets.toml)."""

    path: str
    revision: str
    split: str = "train"
    subsets: Sequence[str | None] = (None,)
    files: Sequence[str] = ()
    """JSONL files, where the hub has a script in place of data."""
    columns: Sequence[str] = ()
    """The only ones that are read; by default all."""
    size: int = 0
    """Problems that a suite has."""
    paper: int = 0
    """Problems of a source that the paper trained on."""

    def rows(self) -> Iterator[Row]:
        """The rows, from the hub or its cache.

        Raises:
            ConfigError: it cannot be loaded, or lacks a column.
            MissingExtra: the library that reads it is not installed.
        """
        try:
            from datasets import load_dataset
        except ImportError as error:
            raise MissingExtra(f"the data set {self.path}", "eval") from error
        at = f"hf://datasets/{self.path}@{self.revision}"
        files = [f"{at}/{file}" for file in self.files]
        for subset in self.subsets:
            try:
                if files:
                    rows: Any = load_dataset("json", data_files=files, split=self.split)
                else:
                    rows = load_dataset(self.path, subset, split=self.split, revision=self.revision)
                yield from rows.select_columns([*self.columns]) if self.columns else rows
            except Exception as error:  # the hub, its cache and its files raise a dozen kinds
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ConfigError(f"{self.path} cannot be loaded: {first}") from error


_TABLES = tomllib.loads(Path(__file__).with_name("datasets.toml").read_text(encoding="utf-8"))
SUITES = {name: DataSet(**values) for name, values in _TABLES["suites"].items()}
SOURCES = {name: DataSet(**values) for name, values in _TABLES["sources"].items()}
"""Those that are evaluated on, and those that are trained on."""
SCIENCE = {"gpqa", "physics", "chemistry", "biology", "science"}
"""Families whose problems get the science hints, in lower case."""


def load(name: str) -> list[Problem]:
    """The problems of a suite, or of a file, in order.

    Raises:
        ConfigError: no such suite or file, a column that is missing, a suite of another size.
        MissingExtra: a suite of the hub, or a Parquet file, without the library that reads it.
    """
    suite, file = SUITES.get(name), Path(name)
    if not suite and not file.is_file():
        known = ", ".join(("tiny", *SUITES))
        raise ConfigError(f"{name!r} is neither a suite ({known}) nor an existing file")
    rows, source = (suite.rows(), suite.path) if suite else (read_records(file), name)
    found: dict[str, Problem] = {}
    for number, problem in converted(rows, source, as_problem):
        key = problem.id or str(number - 1)
        if key in found:
            raise ConfigError(f"{source}, row {number}: the id {key!r} is not unique")
        found[key] = replace(problem, id=key)
    if suite and len(found) != suite.size:
        raise ConfigError(f"{source} has {len(found)} problems, not {suite.size}")
    if not found:
        raise ConfigError(f"{source} contains no problems")
    return list(found.values())


def tiny(families: Sequence[Family], n: int, seed: int, split: Split = "test") -> list[Problem]:
    """`n` problems of each of these families of the miniature world, drawn by `seed`; held out
    unless another split is asked for."""
    made: list[Problem] = []
    for family in families:
        name = family.name if split == "test" else f"{family.name}-{split}"
        for number, drawn in enumerate(problems(family, split, seed, n)):
            about = (f"{name}-{seed}-{number}", drawn.question, drawn.answer, (), family.name)
            if family.samples and family.hidden_samples:
                tests = tuple((s.argument, s.value) for s in family.hidden_samples(drawn.params))
                shown = tuple((str(s.argument), str(s.value)) for s in family.samples(drawn.params))
                made.append(TinyTask(*about, tests, shown))
            else:
                made.append(Problem(*about))
    return made


def converted(
    rows: Iterable[Row], source: str, convert: Callable[[Row], Problem | None]
) -> Iterator[tuple[int, Problem]]:
    """The problems that rows become, with their numbers from 1; None leaves a row out.

    Raises:
        ConfigError: a row lacks a column, or holds something else; the source and its number.
    """
    for number, row in enumerate(rows, 1):
        try:
            problem = convert(row)
        except KeyError as error:
            has = ", ".join(row)
            raise ConfigError(
                f"{source}, row {number}: no {error.args[0]}; it has {has}"
            ) from error
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{source}, row {number}: {error}") from error
        if problem is not None:
            yield number, problem


def as_problem(row: Row) -> Problem:
    """The problem of a row with the columns of any of the suites; the id may be missing.

    Raises:
        KeyError: it has no question or no answer.
    """
    there = {name: str(value) for name, value in row.items() if value not in (None, "")}

    def first(*columns: str) -> str:
        if found := next((there[name] for name in columns if name in there), None):
            return found
        raise KeyError(" or ".join(columns))

    wrong = (there.get(f"Incorrect Answer {i}") for i in (1, 2, 3))
    return Problem(
        id=there.get("id") or there.get("unique_id") or there.get("Record ID", ""),
        question=first("problem", "question", "Question"),
        gold=first("answer", "Correct Answer"),
        distractors=tuple(filter(None, wrong)),
        family=there.get("family") or there.get("High-level domain", ""),
    )
