r"""Fakes and conformance checks for your tests: no weights, no kernels, no network.

backend = ScriptedBackend(["It is 4.\n</think>", "\nprint(2 + 2)\n```\n", "</think>\n\n4"])
session = ReasoningSession(backend, interpreter=FakeInterpreter({"print(2 + 2)": "4"}))
"""

from start_sdk.backends import CharTokenizer
from start_sdk.testing._backends import check_backend, describe_backend
from start_sdk.testing._check import Check
from start_sdk.testing._fakes import FakeInterpreter, ScriptedBackend
from start_sdk.testing._interpreters import check_interpreter
from start_sdk.testing._tools import check_tool
from start_sdk.testing._watch import StopsAt

__all__ = [
    "CharTokenizer",
    "Check",
    "FakeInterpreter",
    "ScriptedBackend",
    "StopsAt",
    "check_backend",
    "check_interpreter",
    "check_tool",
    "describe_backend",
]
