"""A row of the data set: a problem, and its tests: JSON, or JSON in a pickle, packed."""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, FailFast, Field, Json

from start_sdk.errors import ConfigError
from start_sdk.grading.programs import ProgramTest, check_called
from start_sdk.values import Frozen, Settings

MAX_BYTES = 1 << 30
"""Of a row's private tests, unpacked."""
# What a pickled string consists of. Nothing is unpickled; a pickle with anything else is refused.
MAX_PARTS = 100
_STRING = {
    "PROTO", "FRAME", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "MEMOIZE", "PUT",
    "BINPUT", "LONG_BINPUT", "STOP",
}  # fmt: skip


class Task(Frozen):
    """A problem: a program that is asked for.

    Attributes:
        id: the data set's.
        question: the statement.
        difficulty: "easy", "medium" or "hard".
        samples: input and expected output of the tests that the question shows.
        starter: code that the program begins with, if a function is asked for.
        function: that function, a method of `Solution`; "" if the program reads standard input.
        stored: where all its tests are, FILE:OFFSET; "" for a row that is from no file.
        digest: of these tests.
    """

    id: str
    question: str
    difficulty: str
    samples: tuple[tuple[str, str], ...]
    starter: str
    function: str
    stored: str
    digest: str


def unpacked(text: object) -> object:
    """The JSON of a column: the text itself, or a pickled string, compressed, in base64.

    Raises:
        ValueError: it is packed in another way, or contains anything but a string.
    """
    if not isinstance(text, str) or text.lstrip()[:1] in ("[", ""):
        return text or "[]"
    try:
        unzip = zlib.decompressobj()
        data = unzip.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"not compressed: {error}") from error
    if not unzip.eof:
        raise ValueError(f"cut off, or larger than {MAX_BYTES:,} bytes")
    parts = []
    for code, value, _ in pickletools.genops(data):
        parts.append(value)
        if code.name not in _STRING or len(parts) > MAX_PARTS:  # at once: there may be millions
            raise ValueError(f"its pickle refers to more than a string: {code.name}")
    (string,) = (value for value in parts if isinstance(value, str))
    return string


class _Test(Frozen):
    input: str
    output: str
    testtype: Literal["stdin", "functional"] | None = None


_Tests = Annotated[list[_Test], FailFast()]  # an error for each of a million would fill the memory


class _Metadata(Frozen):
    func_name: str | None = None


class _Decoded(Settings):
    """The columns that are JSON, which may be large."""

    model_config = ConfigDict(extra="ignore")

    public_test_cases: Json[_Tests]
    private_test_cases: Annotated[Json[_Tests], BeforeValidator(unpacked)]
    metadata: Annotated[Json[_Metadata], BeforeValidator(lambda text: text or "{}")]


Shown = Annotated[str, Field(pattern=r"\S")]
Day = Annotated[date, BeforeValidator(lambda value: date.fromisoformat(str(value)[:10]))]


class LcbRow(Settings):
    """A row as the data set has it, with its tests still packed.

    Raises:
        ConfigError: a column is missing or wrong.
    """

    model_config = ConfigDict(extra="ignore")

    question_id: Annotated[str, BeforeValidator(str)]
    question_content: Shown
    contest_date: Day
    starter_code: str | None
    difficulty: Shown
    metadata: str | None
    public_test_cases: str
    private_test_cases: str

    @property
    def digest(self) -> str:
        """Of the tests."""
        texts = (self.public_test_cases, self.private_test_cases, self.metadata)
        return sha256(json.dumps(texts).encode()).hexdigest()

    def task(self, stored: str = "") -> tuple[Task, tuple[ProgramTest, ...]]:
        """The problem, and all its tests.

        Raises:
            ConfigError: there are none, they cannot be decoded, or they do not fit the function.
        """
        decoded = _Decoded(**vars(self))
        raw = decoded.public_test_cases + decoded.private_test_cases
        tests = tuple(ProgramTest(given=test.input, expected=test.output) for test in raw)
        task = Task(
            id=self.question_id,
            question=self.question_content,
            difficulty=self.difficulty,
            samples=tuple((test.input, test.output) for test in decoded.public_test_cases),
            starter=self.starter_code or "",
            function=self._function(raw, decoded.metadata.func_name),
            stored=stored,
            digest=self.digest,
        )
        if task.function:
            check_called(tests)
        return task, tests

    def _function(self, tests: list[_Test], name: str | None) -> str:
        usual = "functional" if self.starter_code else "stdin"
        kinds = {test.testtype or usual for test in tests}
        if kinds == {"stdin"}:
            return ""
        if kinds != {"functional"} or not self.starter_code or not (name or "").isidentifier():
            kind, starter = " and ".join(sorted(kinds)) or "missing", bool(self.starter_code)
            raise ConfigError(f"its tests are {kind}, {starter=}, its function is {name!r}")
        return f"Solution().{name}"


def read_task(row: Mapping[str, Any]) -> tuple[Task, tuple[ProgramTest, ...]]:
    """The problem of a row that is from no file, and all its tests.

    Raises:
        ConfigError: it is no row of the data set, or its tests cannot be decoded; in one line.
    """
    return LcbRow(**row).task()
