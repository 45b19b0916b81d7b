"""What a cell returns: values, output and errors, and their text."""

from __future__ import annotations

import asyncio
import re

import pytest
from start_tools.python import PythonTool

from start_sdk.errors import ConfigError
from start_sdk.protocols import Kernel

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 + 1", "2"),
        ("x = 5", ""),
        ("", ""),
        ("print('a', end='')\n'b'", "a\n'b'"),
        ("print('a')\nprint()", "a"),
        ("import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)", "1\n2\n3"),
        ("print('start')\ndisplay('shown')\nprint('end')\n7", "start\n'shown'\nend\n7"),
        ("for i in range(3): print(f'{i}%', end='\\r')\nprint('done')", "done"),
        ("import warnings\nwarnings.warn('careful')", "UserWarning: careful"),
        ("import asyncio\nawait asyncio.sleep(0, 'slept')", "'slept'"),
        ("[\n  1,\n  2,\n]", "[1, 2]"),
        ("def f():\n    'doc'\n    return 3\n\nf()", "3"),
        ("for i in range(2):\n    i\nelse:\n    print('loop')", "loop"),
        ("import sys\nsys.stdin.read()", "''"),
        ("import sys\nsys.stdout.close()\nprint('open')", "open"),
        ("import subprocess, sys\nsubprocess.run('echo a', shell=True, stdout=sys.stdout);", "a"),
        ("import subprocess\nsubprocess.run('echo a; echo b >&2; echo c', shell=True);", "a\nb\nc"),
        ("open('helper.py', 'w').write('v = 3')\nimport helper\nhelper.v", "3"),
    ],
)
async def test_a_cell_shows_what_it_prints_and_its_last_value(
    kernel: Kernel, code: str, text: str
) -> None:
    result = await kernel.run(code)

    assert (result.status, result.text) == ("ok", text)
    assert result.state_kept and result.cut == 0 and result.seconds > 0


async def test_variables_persist_between_cells(kernel: Kernel) -> None:
    await kernel.run("a = 20\ndef double(n): return 2 * n")

    assert (await kernel.run("double(a) + 2")).text == "42"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("x = 1\nmissing", "line 2: missing\nNameError: name 'missing' is not defined"),
        (
            "def f(n):\n    return 1 / n\nf(0)",
            "line 3: f(0)\nline 2, in f: return 1 / n\nZeroDivisionError: division by zero",
        ),
        ("x = = 3", "line 1: x = = 3\nSyntaxError: invalid syntax"),
        ("import json\njson.loads('{')", r"line 2: json.loads\('{'\)\njson.*JSONDecodeError: .*"),
        ("input('?')", r"line 1: input\('\?'\)\nEOFError: input\(\) was called, .*"),
        ("%nomagic", r".*\n.*UsageError: Line magic function `%nomagic` not found\."),
        ("from json import nothing", r".*\nImportError: cannot import name 'nothing' from 'json'"),
        ("print('\0')", "(Syntax|Value)Error: source code string cannot contain null bytes"),
        ("raise KeyboardInterrupt", "line 1: raise KeyboardInterrupt\nKeyboardInterrupt"),
        ("class E(Exception):\n  __str__ = None\nraise E", r".*\nE: <exception str\(\) failed>"),
    ],
)
async def test_an_error_shows_its_lines_in_the_cell_and_its_message(
    kernel: Kernel, code: str, text: str
) -> None:
    result = await kernel.run(code)

    assert result.status == "error" and result.state_kept
    assert result.text == text or re.fullmatch(text, result.text)


async def test_an_error_is_shown_once_without_colours_or_paths(kernel: Kernel) -> None:
    text = (await kernel.run("import statistics\nprint('before')\nstatistics.mean([])")).text

    assert text.startswith("before\n")
    assert text.count("StatisticsError") == text.count("statistics.mean([])") == 1
    assert "\x1b" not in text and ".py" not in text


async def test_a_line_of_an_earlier_cell_is_marked(kernel: Kernel) -> None:
    await kernel.run("def g(n):\n    return 1 / n")

    lines = (await kernel.run("g(0)")).text.splitlines()

    assert lines[:2] == ["line 1: g(0)", "earlier cell, line 2, in g: return 1 / n"]


async def test_a_deep_traceback_is_cut_in_the_middle(kernel: Kernel) -> None:
    lines = (await kernel.run("def h(n): return h(n + 1)\nh(0)")).text.splitlines()

    assert len(lines) == 10
    assert lines[4].endswith("more frames ...]") and lines[-1].startswith("RecursionError")


async def test_an_error_in_a_thread_is_short_too(kernel: Kernel) -> None:
    code = "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()"

    result = await kernel.run(code)

    assert result.status == "ok"
    assert result.text.endswith("1 / 0)\nZeroDivisionError: division by zero")
    assert ".py" not in result.text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print('a\\ud800b')\nprint('c')", "a\ufffdb\nc"),
        ("print('a\\0b\\x1b[31mred\\x1b[0m\\x07')", "abred"),
        ("print('\\x1b]0;title\\x07text')", "text"),
        ("'\\ud800'", "'\\ud800'"),
        ("print('π \\U0001f600')", "π \U0001f600"),
    ],
)
async def test_unusual_characters_lose_no_output(kernel: Kernel, code: str, text: str) -> None:
    assert (await kernel.run(code)).text == text


async def test_a_lone_surrogate_in_the_code_breaks_nothing(kernel: Kernel) -> None:
    assert (await kernel.run("print('\ud800')")).status == "ok"


@pytest.mark.parametrize("call", ["subprocess.call('{}', shell=True)", "os.system('{}')"])
async def test_output_of_a_child_process_comes_before_what_follows_it(
    kernel: Kernel, call: str
) -> None:
    for _ in range(5):
        text = (await kernel.run("import os, subprocess\n" + call.format("seq 3000"))).text
        assert text.splitlines()[-2:] == ["3000", "0"]


async def test_shell_lines_and_forked_workers_write_to_the_cell(kernel: Kernel) -> None:
    code = (
        "import multiprocessing as mp\n"
        "p = mp.get_context('fork').Process(target=print, args=('worker',), kwargs={'flush': True})"
    )

    assert (await kernel.run("!echo shell")).text == "shell"
    assert (await kernel.run(code + "\np.start(); p.join(); print('end')")).text.endswith("end")


async def test_late_output_of_a_thread_stays_out_of_other_cells(kernel: Kernel) -> None:
    await kernel.run(
        "import threading\ngo = threading.Event()\n"
        "def late():\n    go.wait()\n    print('late')\n    display('late')\n"
        "t = threading.Thread(target=late)\nt.start()"
    )

    assert (await kernel.run("go.set()\nt.join()\nprint('mine')")).text == "mine"
    assert (await kernel.run("1")).text == "1"


async def test_a_pool_of_threads_writes_for_the_cell_that_uses_it(kernel: Kernel) -> None:
    use = "list(pool.map(print, ['{}'])); pass"
    await kernel.run(
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n"
        + use.format("first")
    )

    assert (await kernel.run(use.format("second"))).text == "second"


async def test_long_output_keeps_head_and_tail(kernel: Kernel) -> None:
    result = await kernel.run("print('\\n'.join(map(str, range(20_000))))")  # 109 KB

    head, gap, tail = re.split(r"\n(\[\.\.\. [\d,]+ characters left out \.\.\.\])\n", result.text)
    assert head.startswith("0\n1\n2\n") and tail.endswith("\n19998\n19999")
    assert gap == f"[... {result.cut:,} characters left out ...]"
    assert len(head) + len(tail) <= 4000
    assert abs(len(head) + len(tail) + result.cut - 108_890) <= 2  # line breaks beside the gap


@pytest.mark.parametrize("code", ["'y' * 5_000_000", "raise ValueError('z' * 5_000_000)"])
async def test_a_huge_value_or_message_is_cut_as_well(kernel: Kernel, code: str) -> None:
    result = await kernel.run(code)

    assert len(result.text) < 4200 and result.cut > 4_900_000


async def test_max_chars_limits_the_output() -> None:
    tool = PythonTool(isolation="plain", preload=(), max_chars=200)
    async with tool.open() as kernel:
        result = await kernel.run("print('x' * 1000)")

    assert (result.cut, result.text.count("x")) == (801, 199)


async def test_concurrent_calls_wait_for_each_other(kernel: Kernel) -> None:
    await kernel.run("n = 0")
    step = "m = n\nimport time\ntime.sleep(0.01)\nn = m + 1\nn"

    results = await asyncio.gather(*[kernel.run(step) for _ in range(5)])

    assert sorted(r.text for r in results) == list("12345")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
async def test_a_timeout_must_be_above_zero(kernel: Kernel, timeout: float) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        await kernel.run("1", timeout=timeout)
    with pytest.raises(ConfigError, match="seconds"):
        PythonTool(timeout=timeout)


async def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="max_chars"):
        PythonTool(max_chars=10)
    with pytest.raises(ConfigError, match="'vault'"):
        PythonTool(isolation="vault")  # type: ignore[arg-type]
