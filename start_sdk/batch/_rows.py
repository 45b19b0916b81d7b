"""Jobs, their result rows, and exports of rows to files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, get_args

from start_sdk._files import replaced
from start_sdk.errors import ConfigError, MissingExtra

State = Literal["todo", "running", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One computation. Everything except `input` is its key, which identifies the result.

    Args:
        problem: an id or hash that identifies the part of the input that affects the result.
        sample: index of the sample of this problem, from 0.
        policy: name of the hint policy.
        seed: the run's seed; the seed of this sample is `sample_seed(job)`.
        config: hash of the settings, the weights and the tokenizer: `batch.config_hash`.
        input: the problem as read, JSON; stored with the row.

    Raises:
        ConfigError: the seed is not between 0 and 2^63 - 1.
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
        """The fields of the key by name."""
        names = ("problem", "sample", "policy", "seed", "config")
        return {name: getattr(self, name) for name in names}

    @property
    def key(self) -> str:
        """The key as text: a JSON object."""
        return json.dumps(self.parts)


@dataclass(frozen=True, slots=True)
class Row:
    """A job, its state, and its result or error (one line), if any."""

    job: Job
    state: State
    result: dict[str, Any] | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as exported: the key's fields, `state`, `input`, `result`, `error`."""
        return {
            **self.job.parts,
            "state": self.state,
            "input": dict(self.job.input),
            "result": self.result,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The row of `as_dict`.

        Raises:
            ConfigError: a field is missing, unknown, or of another type.
        """
        if {*values} != {*_TYPES}:
            raise ConfigError(f"a row has the fields {', '.join(_TYPES)}")
        for name, types in _TYPES.items():
            if type(values[name]) not in types:
                raise ConfigError(f"{name} is of the wrong type: {type(values[name]).__name__}")
        if values["state"] not in get_args(State):
            raise ConfigError(f"{values['state']!r} is not the state of a row")
        rest = dict(values)
        state, result, error = (rest.pop(name) for name in ("state", "result", "error"))
        return cls(Job(**rest), state, result, error)


_TYPES: dict[str, tuple[type, ...]] = {
    "problem": (str,),
    "sample": (int,),
    "policy": (str,),
    "seed": (int,),
    "config": (str,),
    "state": (str,),
    "input": (dict,),
    "result": (dict, type(None)),
    "error": (str, type(None)),
}


def fingerprint(value: object) -> str:
    """A short stable hash of any JSON value: 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def sample_seed(job: Job) -> int:
    """The 48-bit seed of one sample, derived from the run's seed, the problem and the sample index.

    It does not depend on other jobs, so adding a problem changes no other sample.
    """
    return int(fingerprint([job.seed, job.problem, job.sample])[:12], 16)


def export_jsonl(rows: Iterable[Row], path: str | Path) -> int:
    """Writes rows as JSON Lines (`Row.as_dict`) atomically; returns the number of rows.

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
    """Writes rows as Parquet atomically; returns the number of rows.

    The columns are those of `export_jsonl`. `input` and `result` are JSON text, since their fields
    may differ from row to row and a column's type may not.

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
    remaining = iter(rows)
    with _replaced(Path(path)) as unfinished, pq.ParquetWriter(unfinished, schema) as table:
        while chunk := [_as_text(row) for row in islice(remaining, 256)]:  # a row may be 1 MB
            table.write_table(pa.Table.from_pylist(chunk, schema=schema))
            written += len(chunk)
    return written


def _as_text(row: Row) -> dict[str, Any]:
    result = None if row.result is None else json.dumps(row.result)
    return {**row.as_dict(), "input": json.dumps(dict(row.job.input)), "result": result}


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    try:
        with replaced(path) as unfinished:
            yield unfinished
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
