"""Counts the problems of a plan and checks that their files have the right columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.data import SOURCES, Source
from recipes.experiment import GROUPS
from recipes.plan import hub
from recipes.plan.estimates import Counts
from recipes.suites import SUITES, as_problems
from recipes.tiny.families import KEPT_FROM_TRAINING
from start_sdk import ConfigError, MissingExtra, StartError


def counts(config: Config) -> Counts:
    """How many problems there are; of what is broken none."""
    training = {}
    for text in config.problems.sources:
        with suppress(StartError):
            training[text.partition("=")[0]] = _size(text, config)
    held_out: dict[str, int] = {}
    for suite in config.evaluation.suites:
        with suppress(StartError):
            held_out |= _held_out(suite, config)
    return Counts(training, held_out)


def where_from(config: Config, found: Counts) -> str:
    """The problems to train on, in words."""
    named = {text.partition("=")[0]: "=" in text for text in config.problems.sources}
    parts = []
    for name, size in found.training.items():
        taken = name in config.problems.take or named[name]
        parts.append(f"{name} {size:,}" + ("" if taken else " (the paper's count)"))
    return f"{found.all:,} problems: {', '.join(parts)}"


def check_source(text: str, config: Config) -> str:
    """What a source of problems is; its first row is read.

    Raises:
        ConfigError: it is unknown, cannot be read, or lacks a column.
        NotHere: it cannot be looked at from here.
    """
    name, _, file = text.partition("=")
    if name == "tiny":
        return f"{_size(text, config)} problems of the miniature"
    if name not in SOURCES:
        raise ConfigError(f"{name!r} is not a source of problems: tiny, {', '.join(SOURCES)}")
    source = SOURCES[name]
    if file:
        row, count = first_row(Path(file)), f"{_rows(Path(file)):,} rows"
    elif source.files:
        row = hub.first_row_of_file(source.path, source.revision, source.files[0])
        count = f"on the hub, {source.files[0]}"
    else:
        row = hub.first_row(source.path, source.subsets[0], "train", source.revision)
        count = f"on the hub, {source.subsets[0] or 'train'}"
    _check_row(source, row, file or source.path)
    return f"{count}; its first row has {', '.join(source.columns)}"


def check_suite(name: str, config: Config) -> str:
    """What a suite of the evaluation is; its first row is read. The same errors."""
    if name == "tiny":
        return f"{sum(_held_out(name, config).values())} problems of the miniature"
    if name in SUITES:
        suite = SUITES[name]
        row = hub.first_row(suite.path, suite.subset, suite.split, suite.revision)
        as_problems([row], suite.path)
        return "on the hub; its first row has a question and an answer"
    as_problems([first_row(Path(name))], name)
    return f"{_rows(Path(name)):,} rows; the first has a question and an answer"


def first_row(file: Path) -> dict[str, Any]:
    """The first row of a JSONL or a Parquet file.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is empty.
        MissingExtra: the library that reads Parquet is not installed.
    """
    if not file.is_file():
        raise ConfigError(f"{str(file)!r}: no such file")
    if file.suffix == ".parquet":
        row = _first_of_parquet(file)
    else:
        try:
            row = json.loads(next(_lines(file), "null"))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file}: its first line is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{file} contains no rows")
    return row


def _check_row(source: Source, row: dict[str, Any], where: str) -> None:
    if missing := [column for column in source.columns if column not in row]:
        raise ConfigError(
            f"{where}: no column {', '.join(missing)}; it has {', '.join(row)}: rename or add it"
        )
    try:
        source.problem(row)
    except StartError:
        raise
    except Exception as error:  # a boundary: values of any kind stand in a file
        raise ConfigError(
            f"{where}: its first row cannot be read: {type(error).__name__}: {error}"
        ) from error


def _size(text: str, config: Config) -> int:
    name, _, file = text.partition("=")
    take = config.problems.take.get(name)
    if name == "tiny":
        if take is None:
            raise ConfigError("problems.take.tiny is missing: the number of problems per family")
        families = {f.name for f in GROUPS[config.problems.families]} - KEPT_FROM_TRAINING
        return take * len(families)
    if name not in SOURCES:
        raise ConfigError(f"{name!r} is not a source of problems")
    if not file:
        return take or SOURCES[name].paper
    rows = _rows(Path(file))
    return min(take or rows, rows)


def _held_out(suite: str, config: Config) -> dict[str, int]:
    evaluation = config.evaluation
    if suite == "tiny":
        each = evaluation.n * len(evaluation.seeds)
        return {family.name: each for family in GROUPS[config.problems.families]}
    return {suite: SUITES[suite].size if suite in SUITES else _rows(Path(suite))}


def _rows(file: Path) -> int:
    """Rows of a file, at most so many problems."""
    first_row(file)  # says what is wrong with it
    if file.suffix == ".parquet":
        return int(_parquet(file).metadata.num_rows)
    return sum(1 for _ in _lines(file))


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8") as lines:
            yield from (line for line in lines if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error


def _first_of_parquet(file: Path) -> Any:
    try:
        return next(
            (batch.to_pylist()[0] for batch in _parquet(file).iter_batches(batch_size=1)), None
        )
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error


def _parquet(file: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet", "parquet") from error
    try:
        return parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is not a Parquet file: {error}") from error
