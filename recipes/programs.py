"""Checks whether a program written by a model passes the tests of a code task."""

from __future__ import annotations

import hashlib
import json
import re

from recipes.suites import CodeProblem
from start_sdk import ConfigError, Interpreter

SECONDS = 10.0
"""For one test."""

# A program is run anew for each input. What it reads and prints goes through streams that it may
# use as text or as bytes; `input` of a notebook asks its front end, so it is replaced. Outputs may
# be long: what is compared is a hash of their words.
_READS = """
import hashlib, io, sys
def _run(text):
    out, old = io.BytesIO(), (sys.stdin, sys.stdout)
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    sys.stdout = wrapper = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    def read(prompt=""):
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\\n")
    try:
        exec(compile({code!r}, "program.py", "exec"), {{"__name__": "__main__", "input": read}})
    except SystemExit:
        pass
    finally:
        sys.stdin, sys.stdout = old
    wrapper.flush()  # and it lives until here: a stream that goes closes the bytes below it
    return " ".join(out.getvalue().decode("utf-8", "replace").split())
print("output:", hashlib.sha256(_run({text!r}).encode()).hexdigest())
"""
_CALLED = """
import hashlib, json
from typing import *
exec(compile({code!r}, "program.py", "exec"))
_value = json.dumps({function}({arguments}))
print("output:", hashlib.sha256(_value.encode()).hexdigest())
"""


async def passes(python: Interpreter, problem: CodeProblem, code: str | None) -> bool:
    """Whether a program gives what every test expects, in a kernel of its own.

    Outputs are compared word by word, values of a function as JSON has them. What is expected
    stays here: no program can read it. Tasks with several right outputs need a checker of their
    own, and there is none here.

    Raises:
        ConfigError: the problem has no tests.
    """
    if not problem.cases:
        raise ConfigError(f"problem {problem.id} has no tests")
    if code is None:
        return False
    async with python.open() as kernel:
        for given, expected in problem.cases:
            result = await kernel.run(_cell(problem, code, given), timeout=SECONDS)
            found = re.findall(r"^output: ([0-9a-f]{64})$", result.text, re.MULTILINE)
            if result.status != "ok" or not found or found[-1] != _hash(problem, expected):
                return False
    return True


def _cell(problem: CodeProblem, code: str, given: str) -> str:
    if not problem.function:
        return _READS.format(code=code, text=given)
    arguments = ", ".join(_argument(line) for line in given.splitlines() if line.strip())
    return _CALLED.format(code=code, function=problem.function, arguments=arguments)


def _argument(line: str) -> str:
    """An argument, which stands there as JSON, as Python writes it."""
    try:
        return repr(json.loads(line))
    except json.JSONDecodeError:
        return line


def _hash(problem: CodeProblem, expected: str) -> str:
    text = " ".join(expected.split())
    if problem.function:
        try:
            text = json.dumps(json.loads(expected))
        except json.JSONDecodeError:
            text = json.dumps(expected.strip())
    return hashlib.sha256(text.encode()).hexdigest()
