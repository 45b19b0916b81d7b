"""The files of the data set, read line by line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path

from start_sdk.errors import ConfigError
from start_sdk.grading.livecodebench._rows import LcbRow, Task
from start_sdk.grading.programs import ProgramTest

SIZES = {"test": 400, "test2": 111, "test3": 101, "test4": 101, "test5": 167, "test6": 175}
"""Problems of each file; the releases v1 to v6 are the first one, the first two, and so on."""
RELEASES = ("v1", "v2", "v3", "v4", "v5", "v6")
PAPERS_WINDOW, PAPERS_SIZE = (date(2024, 8, 1), date(2024, 11, 30)), 112
"""START's, CoRT's and Search-o1's problems: August to November 2024. It takes test4 and test5."""


def load(
    files: Sequence[Path],
    *,
    since: date | None = None,
    until: date | None = None,
    release: str = "",
) -> list[Task]:
    """The problems of some files, in order.

    Args:
        files: of the data set.
        since: date of the first contest that counts; None is no bound.
        until: date of the last one that counts.
        release: "v1" to "v6": the files have to be of this release, and of its sizes, and the
            papers' window has to hold their 112 problems; "" does not check.

    Raises:
        ConfigError: a file cannot be read; a line is not a problem, or its tests cannot be decoded;
            an id stands twice; no problem is within the window; or sizes are not the release's.
    """
    found: dict[str, Task] = {}
    counts: Counter[str] = Counter()
    for file in files:
        for number, offset, line in _lines(file):
            counts[file.stem] += 1
            try:
                row = _row(line)
                if not (since or date.min) <= row.contest_date <= (until or date.max):
                    continue
                task, _ = row.task(f"{file.absolute()}:{offset}")  # so that none fails after hours
                if task.id in found:
                    raise ConfigError(f"the id {task.id!r} is not unique")
            except ConfigError as error:
                raise ConfigError(f"{file}, line {number}: {error}") from error
            found[task.id] = task
    wrong = list(_wrong_files(counts, release, all_needed=since is until is None))
    if not wrong and release and (since, until) == PAPERS_WINDOW and len(found) != PAPERS_SIZE:
        wrong = [f"the window has {len(found)} problems, the papers {PAPERS_SIZE}"]
    if not found:
        wrong.append(f"no problem of {', '.join(map(str, files))} is within the window")
    if wrong:
        raise ConfigError("; ".join(wrong))
    return list(found.values())


@lru_cache(maxsize=8)  # the samples of a problem are judged one after the other
def stored_tests(stored: str, digest: str) -> tuple[ProgramTest, ...]:
    """All tests of a problem, from the file that it names (`Task.stored`, `Task.digest`).

    Raises:
        ConfigError: the file is gone, or holds other tests by now.
    """
    file, _, offset = stored.rpartition(":")
    try:
        with open(file, "rb") as lines:
            lines.seek(int(offset))
            line = lines.readline()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read tests from {file!r}: {error}") from error
    row = _row(line)
    if row.digest != digest:
        raise ConfigError(f"{file!r} has changed since its problems were read")
    return row.task()[1]


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and content of each line, one at a time."""
    offset = 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, offset, line
                offset += len(line)
    except OSError as error:
        raise ConfigError(f"cannot read {str(file)!r}: {error.strerror}") from error


def _row(line: bytes) -> LcbRow:
    try:
        row = json.loads(line)  # of bytes, which may begin with a byte order mark
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ConfigError("not an object")
    return LcbRow(**row)


def _wrong_files(counts: Mapping[str, int], release: str, *, all_needed: bool) -> Iterator[str]:
    """How files differ from those of a release; within a window, some files hold no problem."""
    if not release:
        return
    if release not in RELEASES:
        raise ConfigError(f"release {release!r} is none of {', '.join(RELEASES)}")
    sizes = dict(list(SIZES.items())[: RELEASES.index(release) + 1])
    for name in {**counts, **sizes}:
        if name not in sizes:
            yield f"{name}.jsonl is not of release {release}"
        elif name in counts and counts[name] != sizes[name]:
            yield f"{name}.jsonl has {counts[name]} problems, not {sizes[name]}"
        elif name not in counts and all_needed:
            yield f"{name}.jsonl is missing"
