"""LiveCodeBench's problems, from the JSON Lines files of `livecodebench/code_generation_lite`.

The files are those of the hub: test.jsonl, test2.jsonl to test6.jsonl. A line holds a problem with
all its tests and may have megabytes, so files are read line by line, and a problem says where its
tests are instead of holding them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from recipes.livecodebench.encoding import Test, all_tests, public_tests
from recipes.suites import CodeProblem
from start_sdk import ConfigError, Message

SIZES = {"test": 400, "test2": 111, "test3": 101, "test4": 101, "test5": 167, "test6": 175}
"""Problems of each file; the releases v1 to v6 are the first one, the first two, and so on."""
RELEASES = ("v1", "v2", "v3", "v4", "v5", "v6")
PAPERS_WINDOW, PAPERS_SIZE = (date(2024, 8, 1), date(2024, 11, 30)), 112
"""START's, CoRT's and Search-o1's problems: August to November 2024. It takes test4 and test5."""
_COLUMNS = (
    "question_id", "question_content", "contest_date", "starter_code", "difficulty", "metadata",
    "public_test_cases", "private_test_cases",
)  # fmt: skip

# Upstream's prompt, so that scores can be compared: lcb_runner/prompts/code_generation.py, 28fef95.
_SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and "
    "will generate a correct Python program that matches the specification and passes all tests."
)
_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your "
    "code within delimiters."
)
_STDIN = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
    "test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when "
    "the python program runs, it reads the inputs, runs the algorithm and writes output to STDOUT."
)
_USER = (
    "### Question:\n{question}\n\n### Format: {format}\n```python\n{code}\n```\n\n"
    "### Answer: (use the provided format with backticks)\n\n"
)


@dataclass(frozen=True)
class Selection:
    """Which problems are wanted.

    Attributes:
        files: of the data set.
        since: date of the first contest that counts; None is no bound.
        until: date of the last one that counts.
        release: of which the files have to be, "v1" to "v6"; "" does not check.
    """

    files: tuple[Path, ...]
    since: date | None = None
    until: date | None = None
    release: str = ""


def load(chosen: Selection) -> list[CodeProblem]:
    """The problems of the files within the window, in order; the difficulty is the family.

    Raises:
        ConfigError: a file cannot be read; a line is not a problem, or its tests cannot be decoded;
            an id stands twice; no problem is within the window; or the number of problems is not
            that of the release, or of the papers within their window.
    """
    found: dict[str, CodeProblem] = {}
    counts: Counter[str] = Counter()
    for file in chosen.files:
        for number, offset, row in _rows(file):
            counts[file.name.removesuffix(".jsonl")] += 1
            place = f"{file}, line {number}"
            if not _within(row, chosen, place):
                continue
            problem = _problem(row, f"{file.absolute()}:{offset}", place)
            if problem.id in found:
                raise ConfigError(f"{place}: the id {problem.id!r} is not unique")
            found[problem.id] = problem
    if chosen.release:
        _check_sizes(chosen, counts, len(found))
    if not found:
        raise ConfigError(f"no problem of {', '.join(map(str, chosen.files))} is within the window")
    return list(found.values())


def differences(chosen: Selection, size: int) -> str:
    """How the number of problems differs from what the papers print; "" if it does not."""
    if (chosen.since, chosen.until) != PAPERS_WINDOW or size == PAPERS_SIZE:
        return ""
    return f"{size} problems, {size - PAPERS_SIZE:+d} from the papers' {PAPERS_SIZE}"


def about(chosen: Selection, size: int) -> dict[str, str]:
    """What a report says of the problems."""
    window = f"{chosen.since or 'first'} to {chosen.until or 'last'}, inclusive"
    difference = differences(chosen, size)
    return {
        "data": ", ".join(file.name for file in chosen.files),
        "contests": window,
        **({"release": chosen.release} if chosen.release else {}),
        **({"problems": difference} if difference else {}),
    }


def prompt(problem: CodeProblem) -> list[Message]:
    """What upstream asks a chat model."""
    text = _USER.format(
        question=problem.question,
        format=_STARTER if problem.starter else _STDIN,
        code=problem.starter or "# YOUR CODE HERE",
    )
    return [Message(role="system", content=_SYSTEM), Message(role="user", content=text)]


@lru_cache(maxsize=8)  # the samples of a problem are judged one after the other
def stored_tests(stored: str, digest: str) -> tuple[tuple[str, str], ...]:
    """All tests of a problem, from the file that it names.

    Raises:
        ConfigError: the file is gone, or holds other tests by now.
    """
    file, _, offset = stored.rpartition(":")
    try:
        with open(file, "rb") as lines:
            lines.seek(int(offset))
            row = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read tests from {file!r}: {error}") from error
    if not isinstance(row, dict) or _digest(row) != digest:
        raise ConfigError(f"{file!r} has changed since its problems were read")
    return tuple((test.input, test.output) for test in all_tests(row, file))


def _rows(file: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Number, offset and content of each line, one at a time."""
    offset = 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                start = offset
                offset += len(line)
                if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                    start, line = 3, line[3:]
                if line.strip():
                    yield number, start, _row(line, f"{file}, line {number}")
    except OSError as error:
        raise ConfigError(f"cannot read {str(file)!r}: {error.strerror}") from error


def _row(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{place}: not an object")
    if missing := [column for column in _COLUMNS if column not in row]:
        raise ConfigError(f"{place}: no {', '.join(missing)}; it has {', '.join(row)}")
    return row


def _within(row: dict[str, Any], chosen: Selection, place: str) -> bool:
    try:
        held = date.fromisoformat(str(row["contest_date"])[:10])
    except ValueError as error:
        given = row["contest_date"]
        raise ConfigError(
            f"{place}: contest_date {given!r} is no date such as 2024-08-01"
        ) from error
    return (chosen.since or held) <= held <= (chosen.until or held)


def _problem(row: dict[str, Any], stored: str, place: str) -> CodeProblem:
    for column in ("question_content", "difficulty"):
        if not isinstance(row[column], str) or not row[column].strip():
            raise ConfigError(f"{place}: {column} is {row[column]!r}, not a text")
    tests = all_tests(row, place)  # so that none fails after hours
    return CodeProblem(
        id=str(row["question_id"]),
        question=str(row["question_content"]),
        gold="",
        family=str(row["difficulty"]),
        samples=tuple((test.input, test.output) for test in public_tests(row, place)),
        starter=str(row["starter_code"] or ""),
        function=function_of(row, tests, place),
        stored=stored,
        digest=_digest(row),
    )


def function_of(row: dict[str, Any], tests: Sequence[Test], place: str) -> str:
    """The function that a row's tests call; "" where programs read standard input.

    Raises:
        ConfigError: the tests are of both kinds, or the function has no name or no starter code, or
            is not called and answered in JSON.
    """
    usual = "functional" if row["starter_code"] else "stdin"
    kinds: set[str] = {test.testtype or usual for test in tests}
    if kinds == {"stdin"}:
        return ""
    try:
        name = json.loads(row["metadata"] or "{}")["func_name"]
    except (ValueError, TypeError, KeyError):
        name = None
    if kinds != {"functional"} or not isinstance(name, str) or not name.isidentifier():
        kind = " and ".join(sorted(kinds))
        raise ConfigError(f"{place}: its tests are {kind}, its function is {name!r}")
    if not row["starter_code"]:
        raise ConfigError(f"{place}: its tests are functional, but it has no starter_code")
    for number, test in enumerate(tests, 1):
        try:
            for text in (*filter(str.strip, test.input.split("\n")), test.output):
                json.loads(text, parse_int=str)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{place}: its test {number} is not JSON: {error}") from error
    return f"Solution().{name}"


def _digest(row: dict[str, Any]) -> str:
    texts = (row.get("public_test_cases"), row.get("private_test_cases"), row.get("metadata"))
    return sha256(json.dumps(texts).encode()).hexdigest()


def _check_sizes(chosen: Selection, counts: Counter[str], size: int) -> None:
    release = list(SIZES)[: RELEASES.index(chosen.release) + 1]
    wrong = [
        f"{name}.jsonl is not of release {chosen.release}" for name in counts if name not in release
    ]
    for name in filter(counts.__contains__, release):
        if more := counts[name] - SIZES[name]:
            wrong.append(f"{name}.jsonl has {counts[name]} problems, {more:+d} from {SIZES[name]}")
    if chosen.since is chosen.until is None:  # within a window, some files hold none
        wrong += [f"{name}.jsonl is missing" for name in release if name not in counts]
    if not wrong and (difference := differences(chosen, size)):
        wrong = [f"the window has {difference}"]
    if wrong:
        raise ConfigError("; ".join(wrong))
