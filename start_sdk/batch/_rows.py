"""What runs of many problems are made of: a job, the row that comes of it, and files of rows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from start_sdk.errors import ConfigError, MissingExtra

State = Literal["todo", "running", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be computed. All but `input` is the key: it holds what the result depends on.

    Args:
        problem: an id, or a hash; of whatever of the input shapes the result.
        sample: which of several samples of the problem, from 0.
        policy: name of the hint policy.
        seed: the run's seed; that of the sample is `sample_seed(job)`.
        config: hash of the settings, the weights and the tokenizer: `batch.config_hash`.
        input: the problem as it was read, JSON; kept with the row.

    Raises:
        ConfigError: a seed that is no 64-bit number.
    """

    problem: str
    sample: int = 0
    policy: str = "none"
    seed: int = 0
    config: str = ""
    input: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} is not between 0 and 2^63 - 1")

    @property
    def parts(self) -> dict[str, Any]:
        """The parts of the key by name."""
        names = ("problem", "sample", "policy", "seed", "config")
        return {name: getattr(self, name) for name in names}

    @property
    def key(self) -> str:
        """The key as text: a JSON object."""
        return json.dumps(self.parts)


@dataclass(frozen=True, slots=True)
class Row:
    """A job, its state, and its result or its error (one line) once it has one."""

    job: Job
    state: State
    result: dict[str, Any] | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as exports hold it: the key's parts, `state`, `input`, `result`, `error`."""
        return {
            **self.job.parts,
            "state": self.state,
            "input": dict(self.job.input),
            "result": self.result,
            "error": self.error,
        }


def fingerprint(value: object) -> str:
    """A short stable hash of anything that is JSON: 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def sample_seed(job: Job) -> int:
    """The seed of one sample, 48 bits: from the run's seed, the problem and the sample's number.

    It depends on no neighbour, so that a problem added later changes no sample of the others.
    """
    return int(fingerprint([job.seed, job.problem, job.sample])[:12], 16)


def export_jsonl(rows: Iterable[Row], path: str | Path) -> int:
    """Writes rows as JSON Lines (`Row.as_dict`), whole or not at all; returns how many.

    Raises:
        ConfigError: the file cannot be written.
    """
    written = 0
    with _replaced(Path(path)) as unfinished, unfinished.open("w", encoding="ascii") as lines:
        for row in rows:
            lines.write(json.dumps(row.as_dict()) + "\n")
            written += 1
    return written


def export_parquet(rows: Iterable[Row], path: str | Path) -> int:
    """Writes rows as Parquet, whole or not at all; returns how many.

    The columns are those of `export_jsonl`. `input` and `result` hold JSON text: their fields may
    differ from row to row, which a column's type may not.

    Raises:
        ConfigError: the file cannot be written.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("export to Parquet", "parquet") from error
    kinds = {"sample": pa.int64(), "seed": pa.int64()}
    columns = Row(Job(problem=""), "todo").as_dict()
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    written = 0
    left = iter(rows)
    with _replaced(Path(path)) as unfinished, pq.ParquetWriter(unfinished, schema) as table:
        while some := [_as_text(row) for row in islice(left, 256)]:  # a row may be a megabyte
            table.write_table(pa.Table.from_pylist(some, schema=schema))
            written += len(some)
    return written


def _as_text(row: Row) -> dict[str, Any]:
    result = None if row.result is None else json.dumps(row.result)
    return {**row.as_dict(), "input": json.dumps(dict(row.job.input)), "result": result}


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A path to write to; what lies there takes the other's place once it is whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
