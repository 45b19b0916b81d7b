"""Kernels that start and never answer, which happens once in 10,000 starts, are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from start_tools.python import PythonTool, boxed, launch
from start_tools.python.cgroups import Group
from start_tools.python.isolation import trouble
from start_tools.python.parent import Forked, Parent, Settings
from start_tools.python.plain import PlainProcess
from start_tools.python.pool import Pool, pool
from start_tools.python.wire import PORTS

from start_sdk import Toolbox, tool
from start_sdk.errors import InterpreterError

WAITS = (0.05, 0.05, 0.05, 5.0)


class Mute(Parent):
    """Starts processes that listen like kernels and never say anything."""

    def __init__(self) -> None:
        super().__init__(Settings((), 1000, 64 << 20, 1 << 20, 16))
        self.sockets = contextlib.ExitStack()
        self.processes: list[subprocess.Popen[bytes]] = []

    def fork(self) -> Forked:
        address = str(self._folder / str(len(self.processes)))
        for number in PORTS.values():
            listener = self.sockets.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(f"{address}-{number}")
            listener.listen()
        host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sockets.enter_context(theirs)
        self.processes.append(subprocess.Popen(["sleep", "1000"]))
        pidfd = os.pidfd_open(self.processes[-1].pid)
        return Forked(self, address, "key", host, pidfd, Group(), 1 << 30)

    def close(self) -> None:
        self.sockets.close()
        assert all(process.wait(10) < 0 for process in self.processes), "not killed"
        super().close()

    def _make(self, host: socket.socket, fds: list[int]) -> int:
        raise AssertionError


class Partly:
    """A pool whose first kernels are mute."""

    def __init__(self, pool: Pool, mute: Mute, number: int) -> None:
        self._pool, self._mute, self._left = pool, mute, number

    async def take(self, seconds: float, *, again: bool = False) -> Forked:
        self._left -= 1
        return self._mute.fork() if self._left >= 0 else await self._pool.take(seconds, again=again)

    def give_back(self, forked: Forked) -> None:
        if forked.parent is self._mute:
            forked.close()
        else:
            self._pool.give_back(forked)


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mute]:
    if problem := trouble("namespaces"):
        pytest.skip(f"no namespaces here: {problem}")
    monkeypatch.setattr(boxed, "ANSWER_WAITS", WAITS)
    mute = Mute()
    yield mute
    mute.close()


def open_with(mute: Mute, number: int, monkeypatch: pytest.MonkeyPatch) -> PythonTool:
    monkeypatch.setattr(launch, "pool", lambda *args: Partly(pool(*args), mute, number))
    return PythonTool(isolation="namespaces", preload=(), warm=1)


async def test_kernels_that_never_answer_are_replaced(
    mute: Mute, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_with(mute, 3, monkeypatch).open() as kernel:
        assert (await kernel.run("6 * 7")).text == "42"

    assert len(mute.processes) == 3


async def test_if_no_kernel_answers_that_is_an_error(
    mute: Mute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "ANSWER_WAITS", WAITS[:3])
    with pytest.raises(InterpreterError, match="3 kernels ended or never answered"):
        async with open_with(mute, 3, monkeypatch).open():
            pass


async def test_an_opening_that_is_cancelled_ends_a_mute_kernel(
    mute: Mute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "ANSWER_WAITS", (60.0,))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), open_with(mute, 1, monkeypatch).open():
            pass

    assert len(mute.processes) == 1


async def test_who_gets_another_kernel_does_not_queue_again() -> None:
    class Parents(Mute):
        def fork(self) -> Forked:
            forked = super().fork()
            ready, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.sockets.enter_context(kernel)
            kernel.send(b'{"ready": true}')
            forked.host.close()
            forked.host = ready
            return forked

    parent = Parents()
    kernels = Pool(lambda: parent, warm=0, most=1)
    order: list[str] = []

    async def take(name: str, *, again: bool) -> None:
        forked = await kernels.take(20, again=again)
        order.append(name)
        kernels.give_back(forked)

    first = await kernels.take(20)
    waiting = []
    for name in ("other", "next", "again"):
        waiting.append(asyncio.create_task(take(name, again=name == "again")))
        await asyncio.sleep(0)
    kernels.give_back(first)
    await asyncio.gather(*waiting)
    await asyncio.to_thread(kernels.close)

    assert order == ["again", "other", "next"]


async def test_a_kernel_that_does_not_define_the_tools_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @tool
    def double(n: int) -> int:
        """Doubles a number."""
        return 2 * n

    started: list[PlainProcess] = []

    class Deaf(PlainProcess):
        def execute(self, code: str, *args: Any) -> Any:
            return super().execute("while True: pass" if self is started[0] else code, *args)

    async def start() -> PlainProcess:
        process = await PlainProcess.start((), 1000)
        started.append(process)
        process.__class__ = Deaf
        return process

    monkeypatch.setattr(launch, "ANSWER_WAITS", (0.2, 20.0))
    process = await launch.with_tools(start, Toolbox([double]))
    try:
        assert len(started) == 2 and started[0].killed and process is started[1]
    finally:
        await process.close()
