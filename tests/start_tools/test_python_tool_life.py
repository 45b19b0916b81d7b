"""How kernels start and end: alone and concurrently, in normal use and after failures."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from start_tools.python import PythonTool

from start_sdk.errors import InterpreterError
from start_sdk.protocols import Kernel

pytestmark = pytest.mark.asyncio(loop_scope="module")

Until = Callable[[Callable[[], object]], Awaitable[None]]
Alive = Callable[[int], bool]


def children() -> list[str]:
    """Processes that this one has started, including zombies, except for those of pools."""
    tasks = Path("/proc/self/task").iterdir()
    started = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in started if b"zygote" not in Path(f"/proc/{pid}/cmdline").read_bytes()]


def internet_sockets(pid: str) -> set[str]:
    """The inodes of the TCP and UDP sockets that a process holds."""
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()]
    of_anybody = {f"socket:[{line.split()[9]}]" for line in lines}
    return of_anybody & {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}


def python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A Python process that finds what this one finds."""
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def tool(plain: PythonTool) -> PythonTool:
    """Only without a sandbox: sandboxed kernels come from a pool (test_python_pool.py)."""
    return plain


@pytest.fixture
def kernels_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder that holds the folders of this test's kernels, empty at first."""
    tmp_path_factory.getbasetemp()  # or pytest would put its own folder there
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


async def test_eight_kernels_in_parallel_share_nothing(tool: PythonTool) -> None:
    async def session(i: int) -> tuple[str, str]:
        async with tool.open() as kernel:
            await kernel.run(f"x = {i}\nopen('file', 'w').write(str(x))")
            await asyncio.sleep(0)
            here = (await kernel.run("import os\nprint(x, open('file').read())")).text
            return here, (await kernel.run("print(os.getcwd())")).text

    results = await asyncio.gather(*[session(i) for i in range(8)])

    assert [text for text, _ in results] == [f"{i} {i}" for i in range(8)]
    assert len({place for _, place in results}) == 8


async def test_kernels_live_in_several_event_loops(tool: PythonTool) -> None:
    texts: dict[int, str] = {}

    async def session(i: int) -> None:
        async with tool.open() as kernel:
            await kernel.run(f"x = {i}")
            texts[i] = (await kernel.run("x")).text

    threads = [threading.Thread(target=asyncio.run, args=(session(i),)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert texts == {0: "0", 1: "1", 2: "2"}


async def test_ten_opens_leave_nothing_behind_and_close_quickly(
    tool: PythonTool, kernels_folder: Path
) -> None:
    closing = []

    async def open_once() -> None:
        async with tool.open() as kernel:
            await kernel.run("import subprocess\np = subprocess.Popen(['sleep', '600'])")
            began = time.monotonic()
        closing.append(time.monotonic() - began)

    def held() -> tuple[int, int, list[str]]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), children()

    await open_once()  # the first one starts a thread or two that stay
    before = held()
    await asyncio.gather(*[open_once() for _ in range(10)])
    await open_once()

    assert held() == before
    assert os.listdir(kernels_folder) == []
    assert min(closing) < 1


async def test_processes_of_a_cell_end_with_the_kernel(
    tool: PythonTool, until: Until, alive: Alive
) -> None:
    async with tool.open() as kernel:
        code = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid)"
        pids = [int((await kernel.run(code)).text)]
        await kernel.run("import os\nos._exit(1)")
        pids.append(int((await kernel.run(code)).text))

    await until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_an_error_in_the_body_ends_the_kernel_too(
    tool: PythonTool, kernels_folder: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with tool.open() as kernel:
            await kernel.run("1")
            raise error

    assert children() == [] and not os.listdir(kernels_folder)


async def test_cancelling_ends_kernels_in_any_state(tool: PythonTool, kernels_folder: Path) -> None:
    async def session() -> None:
        async with tool.open() as kernel:
            await kernel.run("import time\ntime.sleep(60)", timeout=100)

    tasks = [asyncio.create_task(session()) for _ in range(3)]
    for task, moment in zip(tasks, (0, 0.1, 2), strict=True):
        # As it starts; while the process boots; while a cell runs.
        await asyncio.wait([task], timeout=moment)
        task.cancel()
    await asyncio.wait(tasks)

    assert all(task.cancelled() for task in tasks)
    assert children() == [] and not os.listdir(kernels_folder)


async def test_cancelling_again_while_a_kernel_closes_leaves_nothing(
    tool: PythonTool, kernels_folder: Path, until: Until
) -> None:
    async def session() -> None:
        async with tool.open() as kernel:
            opened.set()
            await kernel.run("import time\ntime.sleep(60)", timeout=100)

    opened = asyncio.Event()
    task = asyncio.create_task(session())
    await opened.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)

    await until(lambda: not children() and not os.listdir(kernels_folder))


async def test_a_closed_kernel_raises(tool: PythonTool) -> None:
    async with tool.open() as kernel:
        running = asyncio.create_task(kernel.run("import time\ntime.sleep(60)", timeout=100))
        await asyncio.wait([running], timeout=0.1)

    with pytest.raises(InterpreterError, match="closed"):
        await running
    with pytest.raises(InterpreterError, match="closed"):
        await kernel.run("1")


async def test_kernels_die_with_a_host_that_is_killed(until: Until, alive: Alive) -> None:
    async def check(code: str) -> None:
        with tempfile.TemporaryDirectory(prefix="k") as folder:
            with python("-c", HOST, code, TMPDIR=folder) as host:
                assert host.stdout
                line = await asyncio.to_thread(host.stdout.readline)
                pids = [int(number) for number in line.split()]
                await until((Path(folder) / "sent").exists)
                assert all(map(alive, pids))
                host.kill()
            await until(lambda: not any(map(alive, pids)))

    # The last cell holds the interpreter lock forever: no thread of the kernel can watch.
    cells = ["pass", "while True: pass", "import re\nre.match('(a+)+$', 'a' * 50 + 'b')"]
    await asyncio.gather(*map(check, cells))


HOST = """
import asyncio, pathlib, sys, tempfile
from start_tools.python import PythonTool

async def main():
    async with PythonTool(isolation="plain", preload=()).open() as kernel:
        code = "import os, subprocess\\nprint(os.getpid(), subprocess.Popen(['sleep', '600']).pid)"
        print((await kernel.run(code)).text, flush=True)
        cell = asyncio.create_task(kernel.run(sys.argv[1], timeout=1000))
        await asyncio.wait([cell], timeout=0.2)
        pathlib.Path(tempfile.gettempdir(), "sent").touch()
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_environment_of_the_host_is_not_passed_on(
    tool: PythonTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hf_verysecret")
    monkeypatch.setenv("PYTHONSTARTUP", "nowhere.py")
    async with tool.open() as kernel:
        text = (await kernel.run("!env")).text
        raw = (await kernel.run("print(open('/proc/self/environ').read())")).text
        numpy = (await kernel.run("import os; print(os.environ['OPENBLAS_NUM_THREADS'])")).text
        places = await kernel.run(
            "from pathlib import Path\n"
            "print(*{Path(os.environ[n]).parent for n in ('HOME', 'TMPDIR')}, Path.cwd().parent)"
        )

    assert "verysecret" not in text + raw and "PYTHONSTARTUP" not in text + raw
    assert numpy == "1"
    folder, again = places.text.split()
    assert folder == again
    assert os.path.basename(folder) not in os.listdir(os.path.dirname(folder))


async def test_a_kernel_has_no_port_and_a_private_folder(kernel: Kernel) -> None:
    number, folder = (await kernel.run("import os\nprint(os.getpid(), os.getcwd())")).text.split()

    assert internet_sockets(number) == set()
    assert Path(folder).parent.stat().st_mode & 0o777 == 0o700


async def test_preloading_is_not_timed_and_skips_missing_modules(tmp_path: Path) -> None:
    tool = PythonTool(isolation="plain", preload=("sympy", "no_such_module"), timeout=5)
    async with tool.open() as kernel:
        loaded = await kernel.run("import sys\n'sympy' in sys.modules, 'sympy' in globals()")
        value = await kernel.run("import sympy as s\nx = s.Symbol('x')\ns.integrate(2 * x, x)")

    assert (loaded.text, value.text) == ("(True, False)", "x**2")


async def test_the_same_cells_give_the_same_text(kernel: Kernel, tool: PythonTool) -> None:
    cell = "print({'a', 'b', 'c', 'd', 'e', 'f'})"
    async with tool.open() as other:
        assert (await kernel.run(cell)).text == (await other.run(cell)).text


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "No such file or directory"),
        ("echo 'out of luck' >&2; exit 4", "out of luck"),
        ("exit 4", "exit code 4"),
        (f'exec "{sys.executable}" -S "$@"', "ModuleNotFoundError: No module named"),
    ],
)
async def test_a_kernel_that_cannot_start_is_a_clear_error(
    tool: PythonTool,
    kernels_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    reason: str,
) -> None:
    executable = tmp_path / "python"
    if script:
        executable.write_text(f"#!/usr/bin/env sh\n{script}\n")
        executable.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(executable))
    began = time.monotonic()

    with pytest.raises(InterpreterError) as caught:
        async with tool.open():
            pass

    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - began < 30
    assert not os.listdir(kernels_folder)


async def test_a_too_long_temporary_folder_is_a_clear_error(
    tool: PythonTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    with pytest.raises(InterpreterError, match="TMPDIR"):
        async with tool.open():
            pass
    assert not list(long.iterdir())


async def test_importing_the_tool_is_light() -> None:
    code = (
        "import sys, start_tools.python\n"
        "print([m for m in ('jupyter_client', 'zmq', 'IPython', 'ipykernel')"
        " if m in sys.modules])"
    )
    with python("-c", code) as process:
        out, _ = await asyncio.to_thread(process.communicate)

    assert out.strip() == "[]"
