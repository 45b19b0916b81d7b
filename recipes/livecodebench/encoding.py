"""The tests of a row: JSON, or JSON in a pickle, compressed, in base64."""

from __future__ import annotations

import base64
import json
import pickle
import pickletools
import zlib
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from start_sdk import ConfigError
from start_sdk.values import Frozen

MAX_BYTES = 1 << 30
"""Of a row's private tests, unpacked."""
# What a pickled string consists of. All else is refused before anything is unpickled.
_STRING = {
    "PROTO", "FRAME", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "MEMOIZE", "PUT",
    "BINPUT", "LONG_BINPUT", "STOP",
}  # fmt: skip


class Test(Frozen):
    """A test as the data set has it."""

    __test__ = False  # pytest's

    input: str
    output: str
    testtype: Literal["stdin", "functional"] | None = None


_TESTS = TypeAdapter(list[Test])


def all_tests(row: dict[str, Any], place: str) -> list[Test]:
    """Public and private tests.

    Raises:
        ConfigError: there are none, or they cannot be decoded: one line that begins with the place.
    """
    packed = str(row["private_test_cases"])
    try:
        private = packed if packed.lstrip()[:1] in ("[", "") else _unpacked(packed)
    except ValueError as error:
        raise ConfigError(f"{place}: private_test_cases: {error}") from error
    tests = public_tests(row, place) + _parsed(private or "[]", "private_test_cases", place)
    if not tests:
        raise ConfigError(f"{place}: no tests")
    return tests


def public_tests(row: dict[str, Any], place: str) -> list[Test]:
    """The tests that the question shows; the same errors."""
    return _parsed(str(row["public_test_cases"]), "public_test_cases", place)


def _parsed(text: str, column: str, place: str) -> list[Test]:
    try:
        return _TESTS.validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{place}: {column}: {where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place}: {column}: not JSON: {error}") from error


def _unpacked(text: str) -> str:
    """The string in a packed column.

    Raises:
        ValueError: it is packed in another way, or holds anything but a string.
    """
    try:
        unzip = zlib.decompressobj()
        data = unzip.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"not compressed: {error}") from error
    if not unzip.eof:
        raise ValueError(f"cut off, or larger than {MAX_BYTES:,} bytes")
    found = {code.name for code, _, _ in pickletools.genops(data)} - _STRING
    if found:
        raise ValueError(f"its pickle refers to more than a string: {', '.join(sorted(found))}")
    try:
        value = pickle.loads(data)  # a string, by its opcodes
    except (pickle.UnpicklingError, EOFError, IndexError) as error:
        raise ValueError(f"not a pickle: {error}") from error
    if not isinstance(value, str):
        raise ValueError("its pickle is no plain string")
    return value
