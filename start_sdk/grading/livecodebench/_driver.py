"""Runs a program where and how upstream's grader does: `python _driver.py PROGRAM FUNCTION`.

Upstream (LiveCodeBench 28fef95) runs a program as a function inside its own process, with stand-ins
for standard input and output. Correct programs fail there, and here in the same ways: the stand-in
for input is no iterator, its `read` begins at the first line again, its `buffer` gives the first
line each time and has no `readlines`; output has no `buffer`; what stands at the top level is local
to a function, so `global` finds nothing; a `__main__` guard runs only if it is the last statement.
Written from these facts; none of it is upstream's code.
"""

import ast
import builtins
import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from typing import Any

MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random",
    "statistics", "itertools", "functools", "operator", "io", "sys", "json",
)  # fmt: skip
GIVEN = "\n".join(
    (
        *(f"from {module} import *" for module in (*MODULES, "builtins", "typing")),
        f"import {', '.join(MODULES)}",
        "sys.setrecursionlimit(50000)",
    )
)
"""What upstream puts before a program."""
# What upstream takes away from programs, so that calls of it fail.
REMOVED = {
    builtins: ("quit",),
    os: (
        "kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork",
        "forkpty", "killpg", "rename", "renames", "truncate", "replace", "unlink", "fchmod",
        "fchown", "chmod", "chown", "chroot", "lchown", "getcwd", "chdir",
    ),
    shutil: ("rmtree", "move", "chown"),
    subprocess: ("Popen",),
}  # fmt: skip


class InputBytes:
    def __init__(self, text: str) -> None:
        self._data = text.encode()

    def read(self, *_: object) -> bytes:
        return self._data

    def readline(self, *_: object) -> bytes:
        return self._data.split(b"\n")[0] + b"\n"


class Input:
    def __init__(self, text: str) -> None:
        self._text, self._lines, self.buffer = text, io.StringIO(text), InputBytes(text)

    def read(self, *_: object) -> str:
        return self._text

    def readline(self, *_: object) -> str:
        return self._lines.readline()

    def readlines(self, *_: object) -> list[str]:
        return self._text.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)


def as_function(source: str) -> ast.Module:
    """A program whose statements, but for imports, are the body of a function `main`."""
    body = ast.parse(source).body
    last = body[-1] if body else None
    if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
        body[-1:] = last.body
    imports = [s for s in body if isinstance(s, ast.Import | ast.ImportFrom)]
    others = [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom)]
    main = ast.parse("def main():\n    pass").body[0]
    assert isinstance(main, ast.FunctionDef)
    main.body = others or main.body
    return ast.parse(ast.unparse(ast.Module([*imports, main], [])))


def _bind_early(text: str) -> None:
    """Gives `stdin` the text where a program has it by `from sys import stdin`, which binds it
    before the stand-in is there: only these three methods are others then."""
    lines = iter(text.split("\n"))
    vars(sys.stdin).update(
        read=lambda *_: text,
        readline=lambda *_: next(lines),
        readlines=lambda *_: text.split("\n"),
    )


def executed(program: str | ast.Module) -> dict[str, Any]:
    """The names that a program leaves."""
    found: dict[str, Any] = {"__name__": "program"}
    exec(GIVEN, found)  # noqa: S102  # this process is there for it
    exec(compile(program, "program.py", "exec"), found)  # noqa: S102
    return found


def printed(source: str, text: str) -> str:
    """What a program prints."""
    _bind_early(text)
    found = executed(as_function(source))
    out = io.StringIO()
    sys.__dict__.update(stdin=Input(text))
    opened = {"open": builtins.open}
    builtins.__dict__.update(open=lambda *_, **__: io.StringIO(text))
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            found["main"]()
    finally:
        builtins.__dict__.update(opened)
    return out.getvalue()


def returned(source: str, function: str, text: str) -> object:
    """What a function returns; only a tuple itself counts as a list, none that is inside."""
    found = executed(source)
    arguments = [json.loads(line) for line in text.split("\n")]
    owner = found["Solution"]() if "class Solution" in source else None
    value = (getattr(owner, function) if owner is not None else found[function])(*arguments)
    return list(value) if isinstance(value, tuple) else value


def told(value: object) -> object:
    """A value for JSON, in which what equals no value of JSON stays unequal."""
    if isinstance(value, list):
        return [told(item) for item in value]
    if isinstance(value, dict):
        names = all(isinstance(name, str) for name in value)
        return {k: told(v) for k, v in value.items()} if names else {"keys": "no strings"}
    if value is None or isinstance(value, str | int | float):
        return value
    number = getattr(value, "item", None)
    return number() if number else {"type": type(value).__name__}


def main(program: str, function: str) -> None:
    with open(program, encoding="utf-8", errors="surrogateescape") as file:
        source = file.read()
    sys.set_int_max_str_digits(50_000)
    text = sys.stdin.read()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogateescape")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if "numpy" in source:  # upstream's process has imported it by then
        with contextlib.suppress(ImportError):
            importlib.import_module("numpy")
    for module, names in REMOVED.items():
        module.__dict__.update(dict.fromkeys(names))
    result = (
        json.dumps(told(returned(source, function, text))) if function else printed(source, text)
    )
    answers.write(result)
    answers.flush()
    os._exit(0)  # what is left of the program does not count any more


if __name__ == "__main__":
    main(*sys.argv[1:])
