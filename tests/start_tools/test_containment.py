"""A kernel that can no longer be limited is ended, and what keeps it in leaves programs working."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from start_tools.python import PythonTool, boxed
from start_tools.python.isolation import trouble

from start_sdk.errors import InterpreterError
from start_sdk.protocols import Kernel

pytestmark = pytest.mark.asyncio(loop_scope="module")

Until = Callable[[Callable[[], object]], Awaitable[None]]
FLOOD = (
    "import json, os, threading, time\nkernel = get_ipython().kernel\nsender = kernel.iopub_thread\n"
    "parent = json.dumps({0}).encode()\nparts = [b'stream', b'<IDS|MSG>', b'', b'{{}}', parent, b'{{}}', {1}]\n"
    "def flood():\n  while True: sender.socket.send_multipart(parts)\n"
    "def wait():\n  while not os.path.exists('go'): time.sleep(.01)\n  sender.io_loop.add_callback(flood)\n"
    "threading.Thread(target=wait, daemon=True).start()\nprint(os.getpid(), os.getcwd())"
)


def watcher(namespace: str) -> int:
    """The first process of a PID namespace, which is the parent of the second, the kernel."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if os.readlink(folder / "ns/pid") == namespace:
                status = (folder / "status").read_text(encoding="utf-8")
                fields = dict(line.split(":\t", 1) for line in status.splitlines())
                if fields["NSpid"].split()[-1] == "2":
                    return int(fields["PPid"])
    raise LookupError(namespace)


@pytest.mark.skipif(bool(trouble("namespaces")), reason="no namespaces here")
async def test_a_kernel_that_cannot_be_measured_is_killed_and_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boxed, "MEASUREMENT_LIMIT", 0.2)
    tool = PythonTool(isolation="namespaces", preload=(), warm=0, max_chars=333)
    async with tool.open() as kernel:
        namespace = (await kernel.run("import os; print(os.readlink('/proc/self/ns/pid'))")).text
        os.kill(watcher(namespace), signal.SIGSTOP)

        result = await kernel.run("import time\ntime.sleep(60)", timeout=50)

        assert (result.status, result.state_kept) == ("killed", False)
        assert result.text == (
            "The memory and CPU time of the kernel could not be measured;"
            " the kernel was killed and its variables are gone."
        )
        assert (await kernel.run("1")).text == "1"


@pytest.mark.slow
@pytest.mark.skipif(bool(trouble("namespaces")), reason="no namespaces here")
async def test_a_busy_host_does_not_take_its_kernel_for_one_that_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It is measured without a pause, so the host is away while it waits for an answer.
    for name, value in {"USAGE_INTERVAL": 0, "MEASUREMENT_LIMIT": 1}.items():
        monkeypatch.setattr(boxed, name, value)
    tool = PythonTool(isolation="namespaces", preload=(), warm=0)
    async with tool.open() as kernel:
        await kernel.run("kept = 1")
        time.sleep(1.2)  # noqa: ASYNC251  # this is the busy host
        result = await kernel.run("kept")

    assert (result.text, result.state_kept) == ("1", True)


@pytest.mark.parametrize(
    ("parent", "content"),
    [
        ("{}", "b'[' + b'{},' * 700_000 + b'{}]'"),
        ("{'msg_id': kernel.get_parent()['header']['msg_id']}", "b''"),
    ],
    ids=["large messages of nobody", "small messages of an earlier cell"],
)
async def test_a_flood_between_cells_ends_the_kernel(
    fresh_plain: Kernel, until: Until, parent: str, content: str
) -> None:
    number, folder = (await fresh_plain.run(FLOOD.format(parent, content))).text.split()
    os.close(os.open(f"{folder}/go", os.O_CREAT))

    await until(lambda: not Path(f"/proc/{number}").exists())
    result = await fresh_plain.run("'flood' in globals()")

    assert (result.status, result.state_kept) == ("ok", False)
    assert result.text == (
        "The kernel sent more than 20 MB that belong to no running cell; the kernel was killed;"
        " variables of earlier cells are gone.\nFalse"
    )


async def test_a_folder_in_place_of_a_file_costs_no_descriptor(kernel: Kernel) -> None:
    await kernel.run("import os\nos.mkdir('folder')")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(InterpreterError, match="not a regular file"):
            await kernel.get_file("folder")  # type: ignore[attr-defined]

    assert len(os.listdir("/proc/self/fd")) <= before


async def test_programs_that_lock_files_work(kernel: Kernel) -> None:
    result = await kernel.run(
        "import sqlite3\none, two = (sqlite3.connect('a.db') for _ in range(2))\n"
        "for mode in ('delete', 'wal'):\n"
        "  one.execute(f'pragma journal_mode={mode}')\n"
        "  with one: one.execute(f'create table {mode}_ (x)')\n"
        "  with two: two.execute(f'insert into {mode}_ values (3)')\n"
        "  print(one.execute(f'select * from {mode}_').fetchall())"
    )

    assert result.text == "[(3,)]\n[(3,)]"


async def test_programs_that_send_and_receive_work(kernel: Kernel) -> None:
    result = await kernel.run(
        "import asyncio\n"
        "async def serve(reader, writer):\n"
        "  writer.writelines([await reader.readexactly(4_000_000)] * 2)\n"
        "  writer.close(); await writer.wait_closed()\n"
        "server = await asyncio.start_server(serve, '127.0.0.1')\n"
        "reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())\n"
        "writer.write(b'x' * 4_000_000)\nlen(await reader.read())",
        timeout=30,
    )

    assert result.text == "8000000"
