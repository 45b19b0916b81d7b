"""What a script finds in its process and a kernel lacks: byte streams, an event loop of its own."""

from __future__ import annotations

import asyncio
import builtins
import codecs
import contextlib
import io
import multiprocessing.context
import os
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Bytes(io.BufferedIOBase):
    """`sys.stdout.buffer`: what is written here appears where `print` would show it.

    Args:
        stream: the text stream; its `write` accepts texts of any length.
    """

    name, mode = "<stdout>", "wb"
    PIECE = 1 << 20
    """Bytes that are decoded at once: a copy of everything might not fit the memory."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def raw(self) -> Any:
        return self

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def write(self, data: Any) -> int:
        with memoryview(data) as view, view.cast("B") as octets:
            for start in range(0, len(octets), self.PIECE):
                if start:
                    self.flush()
                self._stream.write(self._decoder.decode(octets[start : start + self.PIECE]))
            return len(octets)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Only flushes: a wrapper that a cell puts around this stream closes it when it ends."""
        self.flush()

    def finish(self) -> None:
        """Shows the first bytes of a character whose others never came."""
        if rest := self._decoder.decode(b"", final=True):
            self._stream.write(rest)


def open_copy(file: Any, *args: Any, **options: Any) -> Any:
    """`open`, which for a standard stream opens a copy: to close it does not close the kernel's."""
    if file in (0, 1, 2) and isinstance(file, int) and options.get("closefd", True):
        file = os.dup(file)
    return builtins.open(file, *args, **options)


@contextlib.contextmanager
def outside_the_loop() -> Iterator[bool]:
    """Hides the running event loop, if any, so that code can run another, as `asyncio.run` does."""
    running = asyncio._get_running_loop()
    task = running and asyncio.current_task(running)
    if not running or not task:
        yield False
        return
    asyncio._leave_task(running, task)
    asyncio._set_running_loop(None)
    try:
        yield True
    finally:
        asyncio._set_running_loop(running)
        asyncio._enter_task(running, task)


_latest: asyncio.AbstractEventLoop | None = None


def cells_loop() -> asyncio.AbstractEventLoop:
    """Returns the event loop of the cells, which is not the kernel's, and makes it the current one.

    It is the loop that a cell has set, or else the latest, so that what one cell has started can be
    awaited in another.
    """
    global _latest
    with contextlib.suppress(RuntimeError):
        loop = asyncio.get_event_loop()
        if not loop.is_closed() and not loop.is_running():
            _latest = loop
            return loop
    if _latest is None or _latest.is_closed():
        _latest = asyncio.new_event_loop()
    asyncio.set_event_loop(_latest)
    return _latest


@contextlib.contextmanager
def in_cells_loop() -> Iterator[None]:
    """Runs a cell as if there were no event loop but that of the cells, which does not run yet."""
    with outside_the_loop() as hidden:
        if hidden:  # else the kernel has not started
            cells_loop()
        yield


def run_await(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a cell that awaits. An interrupt cancels it, and a second one raises in it."""
    # Not closed: what the cell has started goes on when another one awaits.
    return asyncio.Runner(loop_factory=cells_loop).run(coroutine)


def fork_workers() -> None:
    """Has multiprocessing fork, since a new interpreter could not import what cells have defined.

    A script may choose how once; so may each cell.
    """
    default: Any = multiprocessing.context._default_context
    default._default_context, default._actual_context = multiprocessing.get_context("fork"), None


def patch_asyncio() -> None:
    """Lets cells that await call `asyncio.run`, and others `asyncio.create_task`."""
    run = asyncio.run

    def run_inside(*args: Any, **options: Any) -> Any:
        with outside_the_loop():
            return run(*args, **options)

    def create_task(coroutine: Any, **options: Any) -> Any:
        loop = asyncio._get_running_loop() or cells_loop()
        return loop.create_task(coroutine, **options)

    asyncio.__dict__.update(run=run_inside, create_task=create_task)
