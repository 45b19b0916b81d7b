r"""Fakes and checks, for users' tests and for ours: no weights, no kernels, no network.

backend = ScriptedBackend(["It is 4.\n</think>", "\nprint(2 + 2)\n```\n", "</think>\n\n4"])
session = ReasoningSession(backend, interpreter=FakeInterpreter({"print(2 + 2)": "4"}))
"""

from start_sdk.testing.checks import Check, check_backend, check_interpreter, check_tool
from start_sdk.testing.fakes import EOS, CharTokenizer, FakeInterpreter, ScriptedBackend

__all__ = [
    "EOS",
    "CharTokenizer",
    "Check",
    "FakeInterpreter",
    "ScriptedBackend",
    "check_backend",
    "check_interpreter",
    "check_tool",
]
