"""Encodes traces as training rows: `input_ids`, and `labels` directly from the loss mask.

Without further settings, TRL's `completion_mask` silently trains on every token, and a mask made
from a chat template cannot exclude an output inside a thought; labels avoid both problems.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from start_sdk import ConfigError, Trace
from start_sdk.trace import Source

IGNORED = -100
"""The label of a token without loss, as PyTorch's cross-entropy has it."""


def encode(trace: Trace, train_on: Sequence[Source]) -> dict[str, list[int]]:
    """A trace's `input_ids` and `labels`, one label per token; the model shifts them itself."""
    ids, mask = trace.token_ids, trace.loss_mask(train_on)
    return {
        "input_ids": ids,
        "labels": [i if m else IGNORED for i, m in zip(ids, mask, strict=True)],
    }


def traces(data: Path) -> Iterator[Trace]:
    """The traces of a training set, one at a time.

    Raises:
        ConfigError: the file cannot be read, or a line of it holds no trace.
    """
    try:
        with data.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield Trace.model_validate(json.loads(line)["trace"])
                except (ValueError, KeyError, TypeError) as error:
                    raise ConfigError(f"{data}, line {number}: not a trace: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {str(data)!r}: {error.strerror}") from error


def counts(data: Path, train_on: Sequence[Source], max_length: int) -> dict[str, int]:
    """Rows that fit, rows that are too long, tokens, and tokens with loss.

    Raises:
        ConfigError: as `traces`; or no row fits.
    """
    found = {"rows": 0, "too long": 0, "tokens": 0, "loss tokens": 0}
    for trace in traces(data):
        if not trace.exact:
            raise ConfigError(f"{data}: a trace is not token-exact, so training cannot use it")
        tokens = len(trace.token_ids)
        if tokens > max_length:
            found["too long"] += 1
            continue
        found["rows"] += 1
        found["tokens"] += tokens
        found["loss tokens"] += sum(trace.loss_mask(train_on))
    if not found["rows"]:
        raise ConfigError(f"{data}: no trace has at most max_length={max_length} tokens")
    return found


def dataset(data: Path, train_on: Sequence[Source], max_length: int, cache: Path) -> Any:
    """The rows as a `datasets.Dataset` on disk, however many they are; those too long are left out.

    It is made once per content of the file: the library's own cache looks at its name alone.
    """
    from datasets import Dataset

    options = {
        "data": data,
        "train_on": tuple(train_on),  # a list would be taken for shards: rows for each of its items
        "max_length": max_length,
        "content": digest(data),
    }
    return Dataset.from_generator(_rows, gen_kwargs=options, cache_dir=str(cache))


def digest(data: Path) -> str:
    """What a file holds."""
    with data.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _rows(
    data: Path, train_on: Sequence[Source], max_length: int, content: str
) -> Iterator[dict[str, list[int]]]:
    for trace in traces(data):
        if len(trace.token_ids) <= max_length:
            yield encode(trace, train_on)
