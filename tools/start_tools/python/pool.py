"""Keeps kernels ready before they are requested. One pool per process and kind of kernel.

A dedicated thread forks the kernels, so event loops, which come and go, only wait. The pool holds
descriptors (`Forked`); whoever takes one creates the client in its own event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError

from start_sdk.errors import InterpreterError
from start_tools.python.parent import MAX_FORKS, Forked, Parent, Settings
from start_tools.python.process import START_LIMIT

CLOSE_AFTER = 300.0
"""Seconds without an open kernel after which a pool releases its resources."""
REFILL_DELAY = 0.1
"""Seconds after a kernel was taken during which no spare kernel is started."""
BOOTING = 2 * (os.cpu_count() or 1)
"""Maximum number of kernels starting at the same time; more would only slow each other down."""


class Waiter:
    """A caller in the queue."""

    def __init__(self, seconds: float) -> None:
        self.future: Future[Forked] = Future()
        self.seconds = seconds
        self.asked = time.monotonic()

    def deadline(self, full: bool) -> float:
        """When to give up: if the pool is not full, a starting kernel gets at least START_LIMIT."""
        return self.asked + (self.seconds if full else max(self.seconds, START_LIMIT))


class Pool:
    """A queue of callers, a few kernels that are ready, and the thread that starts them.

    Args:
        make: starts the parent process of the kernels; blocks.
        warm: number of kernels to keep ready.
        most: maximum number of kernels at once, including those in use.
    """

    def __init__(self, make: Callable[[], Parent], warm: int, most: int) -> None:
        self._make = make
        self._warm = warm
        self._max_open = most
        self._lock = threading.Lock()
        self._waiting: deque[Waiter] = deque()
        self._idle: deque[Forked] = deque()
        self._booting: set[Forked] = set()
        self._open = 0
        self._closed = self._failed = False
        self._refill_after = 0.0
        self._parent: Parent | None = None
        self._retired: list[Parent] = []
        """Parents that no longer fork but still have kernels."""
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None
        self._last: threading.Thread | None = None  # it may still be ending

    async def take(self, seconds: float, *, again: bool = False) -> Forked:
        """Waits for the next kernel that is ready; callers are served in order.

        Args:
            seconds: how long to wait while all kernels that may be open are in use.
            again: whether this is to replace a kernel that was of no use; then the first in line.

        Raises:
            InterpreterError: no kernel can be created, or none became free within `seconds`.
        """
        waiter = Waiter(seconds)
        with self._lock:
            if again:
                self._waiting.appendleft(waiter)
            else:
                self._waiting.append(waiter)
            self._hand_out()
            self._refill_after = time.monotonic() + REFILL_DELAY
            if not self._thread:
                made = threading.Thread(target=self._run, name="kernels", daemon=True)
                self._thread = self._last = made
                made.start()
        self._wake()
        try:
            return await asyncio.wrap_future(waiter.future)
        except asyncio.CancelledError:
            if not waiter.future.cancel() and not waiter.future.exception():
                self.give_back(waiter.future.result())  # it arrived as the caller was cancelled
            raise

    def give_back(self, forked: Forked) -> None:
        """Ends a kernel that was taken. Kernels are never reused: a new one is started instead."""
        forked.close()
        with self._lock:
            self._open -= 1
        self._wake()

    def close(self) -> None:
        """Ends all kernels, in use or not."""
        with self._lock:
            self._closed = True
        self._wake()
        if self._last:
            self._last.join(10)
        for held in (self._selector, self._wake_up, self._woken):
            held.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_up.send(b"\0")

    def _run(self) -> None:
        used = time.monotonic()
        while True:
            self._refill()
            with self._lock:
                if self._open or self._waiting:
                    used = time.monotonic()
                if self._closed or time.monotonic() - used > CLOSE_AFTER:
                    self._thread = None
                    break
                full = self._open >= self._max_open
                limits = [waiter.deadline(full) for waiter in self._waiting]
                next_limit = min(limits, default=used + CLOSE_AFTER)
                if time.monotonic() < self._refill_after:
                    next_limit = min(next_limit, self._refill_after)
            for key, _ in self._selector.select(max(next_limit - time.monotonic(), 0.01)):
                if key.data:
                    self._receive(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(1 << 12)
            self._expire()
            for parent in [p for p in self._retired if not p.alive]:
                self._retired.remove(parent)
                parent.close()
        self._stop()

    def _refill(self) -> None:
        """Forks as many kernels as are needed and allowed."""
        while True:
            with self._lock:
                coming = len(self._idle) + len(self._booting)
                # No spares after a failure, or it would be retried endlessly; and none right after
                # a kernel was taken, so as not to slow down its user.
                no_spares = self._failed or time.monotonic() < self._refill_after
                wanted = len(self._waiting) + (0 if no_spares else self._warm) - coming
                room = min(self._max_open - self._open - coming, BOOTING - len(self._booting))
            if wanted <= 0 or room <= 0:
                return
            try:
                forked = self._fork()
            except InterpreterError as error:
                self._fail(error)
                return
            except OSError as error:
                # Out of processes, descriptors or memory: wait for other kernels to end, if any.
                if not self._open and not self._booting:
                    self._fail(InterpreterError(f"cannot create a kernel: {error}"))
                return
            self._booting.add(forked)
            self._selector.register(forked.host, selectors.EVENT_READ, forked)

    def _fork(self) -> Forked:
        if self._parent and self._parent.forks >= MAX_FORKS:
            self._retired.append(self._parent)
            self._parent = None
        if self._parent:
            with contextlib.suppress(ConnectionError):
                return self._parent.fork()
            self._parent.close()
            self._parent = None
        self._parent = self._make()
        return self._parent.fork()

    def _receive(self, forked: Forked) -> None:
        """Handles a message from a starting kernel: it is ready, or it has ended."""
        text, fds, _, _ = socket.recv_fds(forked.host, 1 << 13, 1)
        message = json.loads(text or b"{}")
        if fds:  # a pidfd of the watcher, which did not exist before
            os.close(forked.pidfd)
            forked.pidfd = fds[0]
            return
        self._selector.unregister(forked.host)
        self._booting.discard(forked)
        if "ready" in message:
            with self._lock:
                self._failed = False
                self._idle.append(forked)
                self._hand_out()
        else:
            forked.close()
            forked.group.remove()
            reason = message.get("failed", "it died").strip().splitlines()[-1]
            self._fail(InterpreterError(f"the kernel did not start: {reason}"))

    def _hand_out(self) -> None:
        """Gives ready kernels to waiting callers. Needs the lock."""
        while self._idle and self._waiting:
            forked = self._idle.popleft()
            if not forked.alive():
                forked.close()
                continue
            with contextlib.suppress(InvalidStateError):  # its caller was cancelled
                self._waiting.popleft().future.set_result(forked)
                self._open += 1
                continue
            self._idle.appendleft(forked)

    def _expire(self) -> None:
        """Raises in callers that have waited too long."""
        with self._lock:
            full = self._open >= self._max_open
            late = [w for w in self._waiting if w.deadline(full) <= time.monotonic()]
            self._waiting = deque(w for w in self._waiting if w not in late)
        for waiter in late:
            error = InterpreterError(
                f"no kernel was free for {waiter.seconds:g} s:"
                f" {self._open} are open, max_kernels is {self._max_open}"
            )
            with contextlib.suppress(InvalidStateError):
                waiter.future.set_exception(error)

    def _fail(self, error: InterpreterError) -> None:
        with self._lock:
            self._failed = True
            waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            with contextlib.suppress(InvalidStateError):
                waiter.future.set_exception(error)

    def _stop(self) -> None:
        with self._lock:
            unused = [*self._idle, *self._booting]
            self._idle.clear()
            self._booting.clear()
        for forked in unused:
            if forked.host in self._selector.get_map():
                self._selector.unregister(forked.host)
            forked.close()
            forked.group.remove()
        for parent in filter(None, [self._parent, *self._retired]):
            parent.close()
        self._parent, self._retired = None, []


@functools.cache
def pool(kind: Callable[[Settings], Parent], settings: Settings, warm: int, most: int) -> Pool:
    """The pool of this process for kernels of this kind and settings. It ends with the process."""
    made = Pool(functools.partial(kind, settings), warm, most)
    atexit.register(_close, os.getpid(), made)
    return made


def _close(owner: int, made: Pool) -> None:
    if os.getpid() == owner:  # not in a fork of this process
        made.close()


os.register_at_fork(after_in_child=pool.cache_clear)
