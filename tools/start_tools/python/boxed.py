"""The host's side of a kernel in a sandbox: its watcher process and its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from typing import Any

from start_sdk.errors import InterpreterError
from start_tools.python.parent import Forked
from start_tools.python.pool import Pool
from start_tools.python.process import ANSWER_WAITS, USAGE_INTERVAL, Process, Used, first
from start_tools.python.wire import Wire

ANSWER_LIMIT = 2.0
"""Seconds to wait for the watcher to answer; it takes a millisecond, unless it has ended."""
MEASUREMENT_LIMIT = 5.0
"""The same for a measurement: of many large processes, on a busy machine, it can take seconds."""
MEASUREMENTS = 2
"""Measurements that may fail before the kernel is killed."""
UNMEASURED = "The memory and CPU time of the kernel could not be measured"


def close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


class BoxedProcess(Process):
    def __init__(self, pool: Pool, forked: Forked) -> None:
        super().__init__()
        self._forked = forked
        self._answers: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        """Futures of the watcher's answers, by the number of the request."""
        self._numbers = itertools.count()
        self._code = -signal.SIGKILL.value
        forked.host.setblocking(False)
        self._exit.push_async_callback(asyncio.to_thread, forked.group.remove)
        self._exit.callback(pool.give_back, forked)
        self._watch(os.dup(forked.pidfd))
        self._loop.add_reader(forked.host, self._on_message)
        self._exit.callback(self._loop.remove_reader, forked.host)
        self.wire = Wire(forked.address, forked.key, forked.parent.settings.max_chars, self.kill)
        self._exit.push_async_callback(self.wire.close)
        self._capped = forked.group.caps_memory()
        self._exit.callback(asyncio.create_task(self._limit_memory()).cancel)

    @classmethod
    async def start(cls, pool: Pool, wait: float) -> BoxedProcess:
        """Takes a kernel from the pool, ready to run cells.

        Args:
            pool: the pool to take it from.
            wait: seconds to wait for a kernel while the pool is full.

        Raises:
            InterpreterError: no kernel is available; the message gives the reason in one line.
        """
        for limit in ANSWER_WAITS:
            process = cls(pool, await pool.take(wait, again=limit > ANSWER_WAITS[0]))
            try:
                await first(process.wire.welcome, process.exited, timeout=limit)
                if process.wire.welcome.done():
                    return process
            except BaseException:
                await process.close()
                raise
            await process.close()
        raise InterpreterError(f"{len(ANSWER_WAITS)} kernels ended or never answered")

    async def used(self) -> Used | None:
        """Kills a kernel that holds too much memory, or that cannot be measured any more."""
        request = {"usage": {"capped": self._capped, "enough": self._forked.memory // 2}}
        for _ in range(MEASUREMENTS):
            answer, _ = await self._ask(request, MEASUREMENT_LIMIT)
            if "usage" in answer:
                used = Used(**answer["usage"])
                if used.memory > self._forked.memory:
                    self.ran_out_of_memory = True
                    self.kill()
                return used
            if not answer:
                break
            await first(self.exited, timeout=USAGE_INTERVAL)
        if not self.exited.done():
            self.kill(UNMEASURED)
        return None

    async def _limit_memory(self) -> None:
        """Measures the kernel, also between cells: no cgroup counts all memory."""
        while not self.exited.done():
            await asyncio.sleep(USAGE_INTERVAL)
            await self.used()

    async def open_file(self, path: str, *, new: bool) -> int:
        answer, fds = await self._ask({"open": path, "new": new})
        if not fds:
            raise OSError(answer.get("error", "the kernel has ended"))
        return fds[0]

    async def _ask(
        self, request: dict[str, Any], limit: float = ANSWER_LIMIT
    ) -> tuple[dict[str, Any], list[int]]:
        """Asks the watcher; returns its answer, if any, and the descriptors that came with it."""
        number = next(self._numbers)
        answer = self._answers[number] = self._loop.create_future()
        try:
            with contextlib.suppress(OSError):
                self._forked.host.send(json.dumps({**request, "number": number}).encode())
                await first(answer, self.exited, timeout=limit)
            return answer.result() if answer.done() else ({}, [])
        except asyncio.CancelledError:
            if answer.done():
                close(answer.result()[1])
            raise
        finally:
            del self._answers[number]

    def _on_message(self) -> None:
        try:
            message, fds, _, _ = socket.recv_fds(self._forked.host, 1 << 13, 1)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        if not message:
            self._loop.remove_reader(self._forked.host)
            return
        answer = json.loads(message)
        if "exit" in answer:
            self._code = answer["exit"]
        elif waiting := self._answers.get(answer.get("number", -1)):
            waiting.set_result((answer, fds))
        else:  # nobody waits for it any more
            close(fds)

    def _signal(self, number: signal.Signals) -> None:
        # The watcher forwards an interrupt; killing it ends everything in the sandbox.
        self._forked.signal(number)

    def _exit_code(self) -> int:
        while not self._all_read():
            self._on_message()
        if self._code == -signal.SIGKILL and self._forked.group.oom_kills():
            self.ran_out_of_memory = True
        return self._code

    def _all_read(self) -> bool:
        """Whether all messages that the watcher sent before it ended have been read."""
        try:
            return not self._forked.host.recv(1, socket.MSG_PEEK)
        except OSError:
            return True
