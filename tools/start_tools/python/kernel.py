"""Runs cells in a kernel, one after another; stops those that hang and reports every loss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from start_sdk.errors import ConfigError, InterpreterError
from start_sdk.protocols import CellResult, ToolHost
from start_sdk.trace import Status
from start_tools.python import files
from start_tools.python.cell import MAX_OUTPUT, Cell
from start_tools.python.output import Output
from start_tools.python.process import KILL_LIMIT, USAGE_INTERVAL, Process, first

T = TypeVar("T")

OOM = "The kernel was killed when memory ran out"

INTERRUPT_GRACE = 2.0
"""Seconds between an interrupt and the kill of a cell that continues."""
DRAIN_TIME = 0.05
"""Seconds to wait for output that a dead kernel has already sent."""


class PythonKernel:
    """A kernel that `PythonTool.open` hands out.

    A cell that runs too long, or writes too much, gets SIGINT; if it has not ended 2 s later, its
    kernel is killed. After a kill or a death the next cell gets a new kernel, and the result says
    so: state is never lost silently.

    Args:
        launch: starts a process that is ready to run cells.
        timeout: wall-clock seconds for a cell.
        max_chars: characters of output to keep.
        cpu_time: CPU seconds for a cell.
        tools: host tools; a launched process already has them.
        tool_time: seconds that these may take per cell, in addition to `timeout`.
    """

    def __init__(
        self,
        launch: Callable[[], Awaitable[Process]],
        timeout: float,
        max_chars: int,
        cpu_time: float,
        tools: ToolHost | None,
        tool_time: float,
    ) -> None:
        self._launch = launch
        self._timeout = timeout
        self._max_chars = max_chars
        self._cpu_time = cpu_time
        self._tools = tools
        self._tool_time = tool_time
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._settling: asyncio.Task[None] | None = None
        self._unreported_loss = ""
        """How the last kernel was lost, if no result has reported it yet."""
        self._closed = False

    async def start(self) -> None:
        """Starts the kernel.

        Raises:
            InterpreterError: no kernel can be started.
        """
        await self._ready()

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        """Runs a cell; see `start_sdk.protocols.Kernel`. Calls wait for each other.

        If a call is cancelled, its cell is interrupted; the next call can be made immediately.

        Raises:
            ConfigError: the timeout is not above 0.
            InterpreterError: the kernel is closed, or none can be started.
        """
        limit = self._timeout if timeout is None else timeout
        if not limit > 0:
            raise ConfigError(f"timeout must be seconds above 0, not {limit!r}")
        async with self._lock:
            process = await self._ready()
            lost_before = self._unreported_loss
            result = await self._run(process, code, limit)
            self._unreported_loss = ""
        if not lost_before:
            return result
        note = f"{lost_before}; variables of earlier cells are gone."
        text = f"{note}\n{result.text}".rstrip("\n")
        return replace(result, text=text, state_kept=False)

    async def put_file(self, path: str, data: bytes) -> None:
        """Writes a file into the kernel's working directory, where cells can read it.

        Args:
            path: relative path; its folder must exist.
            data: the whole content.

        Raises:
            InterpreterError: the file cannot be written, or does not fit on the kernel's disk.
        """
        await self._with_file(path, True, partial(files.write, data=data))

    async def get_file(self, path: str, *, max_bytes: int = 16 << 20) -> bytes:
        """Reads a file of the kernel's working directory. Its content is as untrusted as a cell.

        Raises:
            InterpreterError: the file cannot be read, or is larger than `max_bytes`.
        """
        return await self._with_file(path, False, partial(files.read, most=max_bytes))

    async def aclose(self) -> None:
        """Ends the kernel and everything it started. A `run` still in progress raises."""
        self._closed = True
        if self._settling:
            self._settling.cancel()
        if self._process:
            await self._process.close()

    async def _with_file(self, path: str, new: bool, work: Callable[[int], T]) -> T:
        if not _is_file_name(path):
            raise InterpreterError(f"file {path[:80]!r} of the kernel: not a valid file name")
        async with self._lock:
            process = await self._ready()
            try:
                fd = await process.open_file(path, new=new)
                return await asyncio.to_thread(work, fd)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else error
                raise InterpreterError(f"file {path!r} of the kernel: {reason}") from error

    async def _ready(self) -> Process:
        """The process for the next cell, a new one if necessary."""
        if self._settling:
            await asyncio.wait([self._settling])
        if self._closed:
            raise InterpreterError("the kernel is closed")
        if self._process and (code := await self._process.ended()) is not None:
            how = f"The kernel died between cells (exit code {code})"
            if self._process.reason:
                how = f"{self._process.reason}; the kernel was killed"
            await self._lose(self._process, OOM if self._process.ran_out_of_memory else how)
        if not self._process:
            self._process = await self._launch()
            if self._closed:
                await self._process.close()
                raise InterpreterError("the kernel is closed")
        return self._process

    async def _lose(self, process: Process, how: str) -> None:
        self._unreported_loss = how
        self._process = None
        await process.close()

    async def _run(self, process: Process, code: str, limit: float) -> CellResult:
        began = time.monotonic()
        cell = process.execute(code, Output(self._max_chars), self._tools)
        try:
            over = await self._watch(process, cell, limit)
        except asyncio.CancelledError:
            self._settling = asyncio.create_task(self._settle(process, cell))
            raise
        if self._closed:
            raise InterpreterError("the kernel was closed while a cell ran")
        seconds = time.monotonic() - began
        if cell.error and not (over and cell.interrupted):
            cell.output.add_block(cell.error)
        status: Status = "error" if cell.failed or cell.error else "ok"
        ending = ""
        kept = cell.complete and not process.killed
        if not kept:
            status, how = self._loss(process, over)
            ending = f"{how}{' and' if status == 'killed' else ';'} its variables are gone."
            await self._lose(process, how)
        elif over:
            status = "error" if cell.flooded.done() else "timeout"
            ending = f"{over}; variables are kept."
        text = "\n".join(filter(None, [cell.output.text(), ending]))
        return CellResult(
            status,
            text,
            seconds,
            state_kept=kept,
            cut=cell.output.cut,
            pictures=tuple(cell.pictures),
            latex=tuple(cell.latex),
        )

    async def _watch(self, process: Process, cell: Cell, limit: float) -> str:
        """Waits for a cell to end, and stops it if it exceeds a limit.

        Returns:
            Which limit the cell exceeded and how it was stopped, or "".
        """
        cpu_exceeded = asyncio.create_task(self._watch_cpu(process))
        try:
            await self._until(cell, limit, cell.done, cell.flooded, process.exited, cpu_exceeded)
        finally:
            cpu_exceeded.cancel()
            cell.calls.close()
        if cell.flooded.done():
            over = f"OutputError: the cell wrote more than {MAX_OUTPUT:,} characters"
        elif cell.done.done() or process.exited.done():
            over = ""
        elif cpu_exceeded.done():
            over = cpu_exceeded.result()
        elif cell.calls.seconds >= self._tool_time:
            over = f"TimeoutError: the cell waited for tools longer than {self._tool_time:g} s"
        else:
            over = f"TimeoutError: the cell ran longer than {limit:g} s"
        if over and not process.ran_out_of_memory and not cell.done.done():
            if not await self._stop(process, cell):
                over += " and did not stop"
            elif cell.interrupted or not cell.flooded.done():  # a flood may end by itself
                over += " and was interrupted"
        if process.exited.done():
            await asyncio.sleep(DRAIN_TIME)
        return over

    async def _until(self, cell: Cell, limit: float, *ends: asyncio.Future[Any]) -> None:
        """Waits until one of `ends` is done or time is up. Host time pauses the cell's clock."""
        began = time.monotonic()
        while not any(end.done() for end in ends):
            waited = cell.calls.seconds
            left = min(limit - (time.monotonic() - began - waited), self._tool_time - waited)
            if left <= 0:
                return
            await first(*ends, timeout=max(left, 0.01))  # a tool call may keep `left` constant

    async def _watch_cpu(self, process: Process) -> str:
        """Returns a message once a cell has used too much CPU time."""
        began: float | None = None
        while True:
            await asyncio.sleep(USAGE_INTERVAL)
            used = await process.used()
            if not used:
                continue
            # The first measurement may come this late, since a shorter cell is over by then.
            began = used.cpu - USAGE_INTERVAL if began is None else began
            if used.cpu - began > self._cpu_time:
                return f"TimeoutError: the cell used more than {self._cpu_time:g} s of CPU time"

    async def _stop(self, process: Process, cell: Cell) -> bool:
        """Interrupts a cell; returns False if it ignored that and its kernel was killed."""
        for share in (1 / 4, 3 / 4):  # the first has no effect on a cell that has not started
            process.interrupt()
            await first(cell.done, process.exited, timeout=INTERRUPT_GRACE * share)
            if cell.done.done() or process.exited.done():
                return True
        process.kill()
        await first(process.exited, timeout=KILL_LIMIT)
        return False

    async def _settle(self, process: Process, cell: Cell) -> None:
        """Stops a cell whose caller was cancelled."""
        if not cell.done.done() and not await self._stop(process, cell):
            await self._lose(process, "The kernel was killed, as a cancelled cell did not stop")

    def _loss(self, process: Process, over: str) -> tuple[Status, str]:
        """The status and the description of a lost kernel."""
        if process.ran_out_of_memory:
            return "oom", OOM
        if process.killed:
            return "killed", f"{over or process.reason}; the kernel was killed"
        if not process.exited.done():
            return "killed", "The cell's end got lost; the kernel was killed"
        code = process.exited.result()
        return "died", f"The kernel died (exit code {code})"


def _is_file_name(path: str) -> bool:
    """Whether Linux allows a file of that name."""
    try:
        return 0 < len(path.encode()) < 4096 and "\0" not in path
    except UnicodeEncodeError:
        return False
