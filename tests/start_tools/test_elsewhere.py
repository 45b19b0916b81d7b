"""PythonTool where there is nothing of Linux but what macOS has too: see elsewhere/sitecustomize.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

ELSEWHERE = Path(__file__).parents[1] / "elsewhere"
Until = Callable[[Callable[[], object]], Awaitable[None]]
Alive = Callable[[int], bool]


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts a Python process from which Linux is taken away, and so its kernels'."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={ELSEWHERE} exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)

    def python(*arguments: str) -> subprocess.Popen[str]:
        paths = os.pathsep.join([str(ELSEWHERE), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONPATH": paths, "ELSEWHERE_PYTHON": str(wrapper)}
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return python


SESSION = """
import asyncio, os, sys, threading, warnings
from pathlib import Path
from start_sdk import CellResult, ReasoningSession, Toolbox, tool
from start_sdk.errors import InterpreterError
from start_sdk.testing import ScriptedBackend
from start_tools.python import IsolationWarning, PythonTool, kernel

kernel.INTERRUPT_GRACE = 0.5
assert sys.platform == "darwin" and not hasattr(os, "pidfd_open")

@tool
def double(n: int) -> int:
    "Doubles a number."
    return 2 * n

async def check(kernel, code, text, status="ok", kept=True, timeout=20):
    result = await kernel.run(code, timeout=timeout)
    assert (result.status, result.state_kept) == (status, kept), result
    assert text in result.text, result

async def main():
    python = PythonTool(preload=())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with python.open(tools=Toolbox([double])) as kernel:
            await check(kernel, "import sys, os\\nsys.platform, hasattr(os, 'pidfd_open')", "('darwin', False)")
            await check(kernel, "x = 41\\nx + 1", "42")
            await check(kernel, "double(x)", "82")
            await check(kernel, "import subprocess\\nsubprocess.run('echo a; echo b >&2', shell=True);", "a\\nb")
            await check(kernel, "subprocess.run('seq 30000', shell=True);", "30000")
            await check(kernel, "def f(n): return n * n\\nimport multiprocessing\\n"
                "with multiprocessing.Pool(2) as pool: print(pool.map(f, [2, 3]))", "[4, 9]")
            await check(kernel, "import asyncio\\nasyncio.run(asyncio.sleep(0, 'slept'))", "slept")
            await check(kernel, "while True: pass", "was interrupted", "timeout", timeout=0.3)
            await check(kernel, "await asyncio.sleep(60)", "was interrupted", "timeout", timeout=0.3)
            await check(kernel, "try: os.waitpid(-1, 0)\\nexcept ChildProcessError: print('no child')", "no child")
            await kernel.put_file("in.txt", b"3 4")
            await check(kernel, "os.mkdir('d'); open('d/out.txt', 'w').write(open('in.txt').read())", "3")
            assert await kernel.get_file("d/../d/out.txt") == b"3 4"
            await check(kernel, "os.symlink('/etc', 'link'); os.symlink('/etc/passwd', 'd/link')", "")
            for path in ("link/passwd", "d/link", "../log", "/etc/passwd", "d", "none"):
                try:
                    await kernel.get_file(path)
                except InterpreterError as error:
                    assert repr(path) in str(error)
                else:
                    raise AssertionError(path)
            await check(kernel, "os._exit(3)", "The kernel died (exit code 3)", "died", kept=False)
            await check(kernel, "'x' in globals(), double(4)", "(False, 8)")
            await check(kernel, "import time\\nwhile True:\\n  try: time.sleep(1)\\n"
                "  except BaseException: pass", "kernel was killed", "killed", kept=False, timeout=0.1)
            await check(kernel, "1", "1")
            folder, pid = eval((await kernel.run("import os\\nos.getcwd(), os.getpid()")).text)
            process = kernel._process
        assert not os.path.exists(folder)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            pass
        else:
            raise AssertionError("the kernel is still there")
    (announced,) = [w for w in caught if w.category is IsolationWarning]
    text = str(announced.message)
    assert "no namespaces (it needs Linux), no bubblewrap (it needs Linux)" in text, text
    assert python.isolation_level.level == "plain"
    for level in ("namespaces", "bubblewrap"):
        try:
            PythonTool(isolation=level).isolation_level
        except InterpreterError as error:
            assert "it needs Linux" in str(error)
        else:
            raise AssertionError(level)

    backend = ScriptedBackend(["```python\\nprint(6 * 7)\\n```", "It is 42.</think>42"])
    session = ReasoningSession(backend, interpreter=PythonTool(preload=(), isolation="plain"))
    trace = await session.run("What is 6 * 7?")
    assert trace.calls[0].output == "42", trace

asyncio.run(main())
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
print("done")
"""

HOST = """
import asyncio
from start_tools.python import PythonTool

async def main():
    async with PythonTool(isolation="plain", preload=()).open() as kernel:
        code = "import os, subprocess\\nprint(os.getpid(), subprocess.Popen(['sleep', '600']).pid)"
        print((await kernel.run(code)).text, flush=True)
        await kernel.run("import re\\nre.match('(a+)+$', 'a' * 50 + 'b')", timeout=1000)

asyncio.run(main())
"""


def test_a_session_runs_at_level_plain_and_says_so(
    python: Callable[..., subprocess.Popen[str]],
) -> None:
    with python("-W", "error", "-c", SESSION) as process:
        out, _ = process.communicate(timeout=120)

    assert out.splitlines()[-1:] == ["done"], out


async def test_kernels_end_with_their_host(
    python: Callable[..., subprocess.Popen[str]], until: Until, alive: Alive
) -> None:
    with python("-c", HOST) as host:
        assert host.stdout
        pids = [int(number) for number in host.stdout.readline().split()]
        assert len(pids) == 2 and all(map(alive, pids))
        host.kill()
    await until(lambda: not any(map(alive, pids)))


@pytest.mark.slow
def test_everything_can_be_imported_and_answers_are_graded(
    python: Callable[..., subprocess.Popen[str]],
) -> None:
    code = """
import importlib, pkgutil
import start_sdk, start_tools
skipped = ("backends.transformers", "backends.vllm", "__main__")  # torch is built for Linux here
for package in (start_sdk, start_tools):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not any(part in found.name for part in skipped):
            importlib.import_module(found.name)
from start_sdk.grading import grade_all
assert [grade.correct for grade in grade_all([("1/2", "0.5"), ("1/3", "0.5")])] == [True, False]
print("done")
"""
    with python("-c", code) as process:
        out, _ = process.communicate(timeout=120)

    assert out.splitlines()[-1:] == ["done"], out
