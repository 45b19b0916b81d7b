"""Tools of the host, called in real kernels by correct, failing and hostile cells."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from start_tools.python import PythonTool
from start_tools.python.isolation import trouble

from start_sdk import ConfigError, Kernel, Tool, Toolbox, ToolError
from start_sdk import tool as host_tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGE = """
from jupyter_client.session import Session
k = get_ipython().kernel
session = Session(key=k.session.key)
def forge(prompt, kind='input_request'):
    ident, parent = k.host_tools._cell
    session.send(k.stdin_socket, kind, {'prompt': prompt, 'password': False}, parent, ident=ident)
"""


@host_tool
def add(a: int, b: int = 2) -> int:
    """Adds two numbers.

    Slowly.
    """
    return a + b


@host_tool
def echo(value: Any) -> Any:
    """Returns its argument."""
    return value


@host_tool
def fail(path: str) -> None:
    """Fails."""
    raise FileNotFoundError(2, "No such file", f"/host/secret/{path}")


@host_tool(timeout=0.1)
async def hang() -> None:
    """Never returns."""
    await asyncio.Event().wait()


@host_tool
async def wait() -> None:
    """Never returns within the time of a test."""
    await asyncio.Event().wait()


@host_tool(max_calls=3)
def rare() -> str:
    """May be called three times."""
    return "yes"


NAN = ": nan" if sys.version_info >= (3, 13) else ""  # json names the value
TOOLS: list[Tool] = [add, echo, fail, hang, wait, rare]


@pytest_asyncio.fixture(loop_scope="module")
async def box() -> Toolbox:
    return Toolbox(TOOLS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(tool: PythonTool) -> AsyncIterator[Kernel]:
    """Shared by tests that leave no state behind."""
    async with tool.open(tools=Toolbox(TOOLS)) as kernel:
        yield kernel


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tool: PythonTool, box: Toolbox) -> AsyncIterator[Kernel]:
    async with tool.open(tools=box) as kernel:
        yield kernel


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("add(1)", "3"),
        ("add(1, b=5)", "6"),
        ("[add(n) for n in range(3)]", "[2, 3, 4]"),
        ("def f(n): return add(n) if n == 0 else f(n - 1)\nf(5)", "2"),
        ("import asyncio\nawait asyncio.sleep(0)\nadd(4)", "6"),
        ("echo([None, True, 1.5, 'π\\n\"', {'a': (1, 2)}])", "[None, True, 1.5, 'π\\n\"', {'a': [1, 2]}]"),
        ("echo(10 ** 30) == 10 ** 30", "True"),
        ("import numpy as np\nadd(np.int64(4)), echo(np.arange(3)), echo(np.float64(0.5))", "(6, [0, 1, 2], 0.5)"),
        ("import sympy\nadd(sympy.Integer(4))", "6"),
        ("help(add)", "Help on function add:\n\nadd(a: int, b: int = 2) -> int\n    Adds two numbers.\n\n    Slowly."),
    ],
)  # fmt: skip
async def test_a_tool_is_a_function_of_the_cell(kernel: Kernel, code: str, text: str) -> None:
    result = await kernel.run(code)

    lines = [line.rstrip() for line in result.text.splitlines()]
    assert (result.status, lines) == ("ok", text.splitlines())


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("add('x')", "TypeError: add(): argument a should be a valid integer, not 'x'"),
        ("add()", "TypeError: add() missing 1 required positional argument: 'a'"),
        ("add(1, c=3)", "TypeError: add() got an unexpected keyword argument 'c'"),
        ("fail('x.txt')", "ToolError: FileNotFoundError: [Errno 2] No such file: 'x.txt'"),
        ("hang()", "TimeoutError: hang() took longer than 0.1 s"),
        ("echo(b'x')", "TypeError: echo(): argument value: a bytes cannot be passed to the host: only None, bool, int, float, str, list, tuple, dict"),
        ("echo({1: 2})", "TypeError: echo(): argument value: keys of a dict must be text, not 1"),
        ("echo(float('nan'))", f"ValueError: echo(): argument value: Out of range float values are not JSON compliant{NAN}"),
        ("x = []\nx.append(x)\necho(x)", "ValueError: echo(): argument value is nested too deeply"),
        ("echo('x' * 100_000)", "ToolError: echo(): the arguments have 100,013 characters of JSON; 100,000 may be passed"),
    ],
)  # fmt: skip
async def test_a_failed_call_is_an_exception_in_the_cell(
    kernel: Kernel, code: str, last: str
) -> None:
    result = await kernel.run(code)

    assert (result.status, result.state_kept) == ("error", True)
    *lines, error = result.text.splitlines()
    assert error == last
    assert lines == [f"line {code.count(chr(10)) + 1}: {code.splitlines()[-1]}"]


async def test_errors_can_be_caught_and_the_cell_continues(kernel: Kernel) -> None:
    code = (
        "for call in (lambda: fail('x'), lambda: add('x'), hang):\n"
        "    try:\n        call()\n"
        "    except (ToolError, TypeError, TimeoutError) as error:\n"
        "        print(type(error).__name__)\n"
        "add(1)"
    )

    assert (await kernel.run(code)).text == "ToolError\nTypeError\nTimeoutError\n3"


async def test_a_thousand_calls_in_a_cell(kernel: Kernel) -> None:
    assert (await kernel.run("sum(add(n, 0) for n in range(1000))")).text == "499500"


async def test_input_and_getpass_still_raise_eof_error(kernel: Kernel) -> None:
    ask = "from getpass import getpass\ngetpass()"

    assert "EOFError: input() was called" in (await kernel.run("input()")).text
    assert "EOFError: getpass() was called" in (await kernel.run(ask)).text
    below = "k = get_ipython().kernel\nk._input_request('?', *k.host_tools._cell)"
    assert (await kernel.run(below)).text.endswith("EOFError")


async def test_threads_take_turns(kernel: Kernel) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool: print(list(pool.map(add, range(40))))"
    )

    assert (await kernel.run(code)).text == str(list(range(2, 42)))


async def test_a_forked_child_cannot_call(kernel: Kernel) -> None:
    code = (
        "import os\npid = os.fork()\n"
        "if pid == 0:\n"
        "    try:\n        add(1)\n    except ToolError:\n        os._exit(7)\n    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), add(1))"
    )

    # Python 3.12 warns of a fork in a process with threads first.
    assert (await kernel.run(code)).text.splitlines()[-1] == "7 3"


async def test_a_call_after_the_end_of_its_cell_raises(kernel: Kernel) -> None:
    await kernel.run(
        "import threading\nsaid = []\n"
        "def late():\n"
        "    try:\n        wait()\n    except ToolError as error:\n        said.append(str(error))\n"
        "t = threading.Thread(target=late)\nt.start()"
    )

    after = await kernel.run("t.join()\nprint(said[0], add(1))")

    assert after.text == "wait() can be called while a cell runs only; it has ended 3"


async def test_an_abandoned_call_does_not_affect_later_calls(kernel: Kernel) -> None:
    code = (
        "import signal\n"
        "def ring(*_): raise InterruptedError\n"
        "signal.signal(signal.SIGALRM, ring)\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\n"
        "try:\n    hang()\nexcept InterruptedError:\n    print('given up')\n"
        "print(add(1), add(2))"
    )

    assert (await kernel.run(code)).text == "given up\n3 4"


async def test_calls_are_counted(fresh: Kernel, box: Toolbox) -> None:
    text = (await fresh.run("for _ in range(5): print(rare())")).text

    assert text.startswith("yes\nyes\nyes\n")
    assert text.endswith("ToolError: rare() has reached its limit of 3 calls")
    assert [(c.name, c.result) for c in box.take_calls()] == [("rare", "yes")] * 3


async def test_a_new_kernel_has_the_tools_again(fresh: Kernel) -> None:
    await fresh.run("import os; os._exit(1)")

    assert (await fresh.run("add(1)")).text.endswith("3")


async def test_host_time_does_not_count_towards_the_timeout(tool: PythonTool) -> None:
    limit = 2.0

    @host_tool
    async def work() -> str:
        """Takes longer than a cell may."""
        await asyncio.sleep(limit + 0.2)
        return "done"

    async with tool.open(tools=Toolbox([work])) as kernel:
        result = await kernel.run("work()", timeout=limit)

    assert (result.status, result.text) == ("ok", "'done'") and result.seconds > limit


@pytest.mark.usefixtures("patient")
async def test_host_time_is_limited_too_and_the_tool_is_cancelled() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    @host_tool
    async def work() -> None:
        """Never returns."""
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    python = PythonTool(isolation="plain", preload=(), timeout=20, tool_time=0.2)
    for code in ("x = 5\nwork()", "import asyncio\nawait asyncio.sleep(0)\nwork()"):
        async with python.open(tools=Toolbox([work])) as kernel:
            result = await kernel.run(code)
            kept = await kernel.run("1 + 1", timeout=20)
        assert began.is_set() and (result.status, result.state_kept) == ("timeout", True)
        assert result.text.endswith(
            "TimeoutError: the cell waited for tools longer than 0.2 s and was interrupted;"
            " variables are kept."
        )
        assert kept.text == "2"
        await asyncio.wait_for(cancelled.wait(), 20)
        cancelled.clear()


async def test_a_cancelled_cell_cancels_its_call(tool: PythonTool) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    @host_tool
    async def work() -> None:
        """Never returns."""
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with tool.open(tools=Toolbox([work])) as kernel:
        await kernel.run("x = 5")
        running = asyncio.create_task(kernel.run("work()"))
        await asyncio.wait_for(began.wait(), 20)
        running.cancel()
        await asyncio.wait([running])
        await asyncio.wait_for(cancelled.wait(), 20)
        assert (await kernel.run("x")).text == "5"


async def test_a_tool_that_needs_its_own_waiting_kernel_times_out(tool: PythonTool) -> None:
    held: list[Kernel] = []

    @host_tool(timeout=0.3)
    async def again() -> str:
        """Runs a cell in the same kernel."""
        return (await held[0].run("1")).text

    async with tool.open(tools=Toolbox([again])) as kernel:
        held.append(kernel)
        assert "TimeoutError: again() took" in (await kernel.run("again()")).text
        assert (await kernel.run("1")).text == "1"


async def test_forged_requests_have_no_effect(fresh: Kernel, box: Toolbox) -> None:
    prompts = [
        *("", "1", "1 add", "x add {}", "-1 add {}", "1 rm {}", "1 add []", "1 add [[["),
        *("9" * 5000 + " add {}", "1 __init__ {}", 5, None, {"a": 1}, ["1 add {}"]),
    ]
    for prompt in prompts:
        result = await fresh.run(f"{FORGE}\nforge({prompt!r})\nforge({prompt!r})\nadd(1)")
        assert result.text == "3", prompt

    assert {c.name for c in box.take_calls()} == {"add"}
    assert (await fresh.run(FORGE + "forge('1 add {}', 'comm_open')\nadd(1)")).text == "3"


async def test_a_flood_of_requests_runs_one_call_at_a_time(tool: PythonTool) -> None:
    running = most = 0

    @host_tool
    async def work() -> int:
        """Counts itself."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return 1

    box = Toolbox([work])
    async with tool.open(tools=box) as kernel:
        code = FORGE + "for i in range(3000): forge(f'{i} work {{}}')\nwork()"
        result = await kernel.run(code, timeout=60)

    assert (result.status, result.text, most) == ("ok", "1", 1)


async def test_a_huge_request_affects_only_its_cell(tool: PythonTool, box: Toolbox) -> None:
    async with tool.open(tools=box) as kernel:
        await kernel.run(f"{FORGE}\nforge('1 echo ' + 'x' * (40 << 20))", timeout=20)
        after = await kernel.run("1 + 1")

    assert after.text.endswith("2")


@pytest.mark.parametrize("level", ["bubblewrap"])
async def test_tools_work_in_bubblewrap_too(level: Any) -> None:
    if problem := trouble(level):
        pytest.skip(f"no {level} here: {problem}")
    async with PythonTool(isolation=level, preload=()).open(tools=Toolbox([add])) as kernel:
        assert (await kernel.run("add(1)")).text == "3"


async def test_tool_time_must_be_above_zero() -> None:
    with pytest.raises(ConfigError, match="tool_time"):
        PythonTool(tool_time=0)


async def test_a_tool_error_keeps_its_own_message(tool: PythonTool) -> None:
    @host_tool
    def find(city: str) -> str:
        """Finds a city."""
        raise ToolError(f"there is no city {city!r}")

    async with tool.open(tools=Toolbox([find])) as kernel:
        text = (await kernel.run("find('Ys')")).text

    assert text == "line 1: find('Ys')\nToolError: there is no city 'Ys'"
