"""Evaluation problems: named suites from the hub at pinned revisions, or files like them.

The suites are those of START's evaluation (arXiv 2503.04625, table 1) except LiveCodeBench. A file
is JSONL or Parquet with a suite's columns: `problem` (or `question`) and `answer`, or those of
GPQA; `id` is optional.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.tiny.world import Family, Split, problems
from start_sdk import ConfigError, MissingExtra
from start_sdk.batch import read_json_lines


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
    """Where its tests are if they are too large for a row: FILE:OFFSET (recipes/livecodebench)."""
    digest: str = ""
    """Of those tests."""


@dataclass(frozen=True)
class TinyTask(Problem):
    """A code task of the miniature: a function f of one integer."""

    samples: tuple[tuple[str, str], ...] = ()
    """Arguments and values that the question shows."""


@dataclass(frozen=True)
class Suite:
    """Where a suite lies on the hub, and how many problems it has."""

    path: str
    revision: str
    split: str
    size: int
    subset: str | None = None


SUITES = {
    "aime24": Suite(
        "HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", "train", 30
    ),
    "aime25": Suite("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b", "test", 30),
    "amc23": Suite("math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057", "test", 40),
    "math500": Suite(
        "HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", "test", 500
    ),
    # Gated: needs an account that has accepted its terms.
    "gpqa": Suite(
        "Idavidrein/gpqa", "633f5ee89ab8ad4522a9f850766b73f62147ffdd", "train", 198, "gpqa_diamond"
    ),
}
SCIENCE = {"gpqa", "physics", "chemistry", "biology", "science"}
"""Families whose problems get the science hints, in lower case."""
_QUESTIONS = ("problem", "question", "Question")
_ANSWERS = ("answer", "Correct Answer")
_IDS = ("id", "unique_id", "Record ID")
_FAMILIES = ("family", "High-level domain")
_DISTRACTORS = tuple(f"Incorrect Answer {i}" for i in (1, 2, 3))


def load(name: str) -> list[Problem]:
    """The problems of a suite, or of a file, in order.

    Raises:
        ConfigError: no such suite or file, a column that is missing, a suite of another size.
        MissingExtra: a suite of the hub, or a Parquet file, without the library that reads it.
    """
    if name in SUITES:
        return from_hub(name, SUITES[name])
    path = Path(name)
    if not path.is_file():
        raise ConfigError(
            f"{name!r} is neither a suite (tiny, {', '.join(SUITES)}) nor an existing file"
        )
    found = as_problems(read_rows(path), name)
    if not found:
        raise ConfigError(f"{name} contains no problems")
    return found


def tiny(families: Sequence[Family], n: int, seed: int, split: Split = "test") -> list[Problem]:
    """`n` problems of each of these families of the miniature world, drawn by `seed`; held out
    unless another split is asked for."""
    made: list[Problem] = []
    for family in families:
        name = family.name if split == "test" else f"{family.name}-{split}"
        for number, problem in enumerate(problems(family, split, seed, n)):
            hidden = family.hidden_samples(problem.params) if family.hidden_samples else ()
            tests = tuple((sample.argument, sample.value) for sample in hidden)
            about: dict[str, Any] = {
                "id": f"{name}-{seed}-{number}",
                "question": problem.question,
                "gold": problem.answer,
                "family": family.name,
            }
            if family.samples is None:
                made.append(Problem(**about))
                continue
            shown = family.samples(problem.params)
            samples = tuple((str(sample.argument), str(sample.value)) for sample in shown)
            made.append(TinyTask(**about, tests=tests, samples=samples))
    return made


def from_hub(name: str, suite: Suite) -> list[Problem]:
    """A suite as the hub has it, or its cache; its size is checked."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtra(f"the suite {name}", "eval") from error
    try:
        rows: Any = load_dataset(
            suite.path, suite.subset, split=suite.split, revision=suite.revision
        )
    except Exception as error:  # the hub, its cache and its files raise a dozen kinds
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{suite.path} cannot be loaded: {first}") from error
    found = as_problems(rows, suite.path)
    if len(found) != suite.size:
        raise ConfigError(f"{suite.path} has {len(found)} problems, not {suite.size}")
    return found


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL or a Parquet file.

    Raises:
        ConfigError: the file cannot be read; of a line that is not an object, its number.
        MissingExtra: a Parquet file without pyarrow.
    """
    if path.suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtra("reading Parquet", "parquet") from error
        try:
            rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is not a Parquet file: {error}") from error
        return rows
    return [row for _, row in read_json_lines(path)]


def as_problems(rows: Iterable[dict[str, Any]], source: str) -> list[Problem]:
    """Problems from rows with the columns of any of the suites.

    Raises:
        ConfigError: a row without question or answer, or an id that stands twice.
    """
    made: list[Problem] = []
    seen: set[str] = set()
    for number, row in enumerate(rows):
        question, gold = first(row, _QUESTIONS), first(row, _ANSWERS)
        if not question or gold is None:
            raise ConfigError(
                f"{source}, row {number + 1}: needs a question ({' or '.join(_QUESTIONS)}) and an "
                f"answer ({' or '.join(_ANSWERS)}); it has {', '.join(row)}"
            )
        key = first(row, _IDS) or str(number)
        if key in seen:
            raise ConfigError(f"{source}, row {number + 1}: the id {key!r} is not unique")
        seen.add(key)
        wrong = tuple(str(row[c]) for c in _DISTRACTORS if row.get(c) is not None)
        made.append(Problem(key, question, gold, wrong, first(row, _FAMILIES) or ""))
    return made


def first(row: dict[str, Any], columns: tuple[str, ...]) -> str | None:
    """The first of these columns that a row has, as text."""
    return next((str(row[c]) for c in columns if row.get(c) is not None), None)
