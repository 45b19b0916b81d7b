"""Turns a cell's output into messages of bounded size that belong to the right cell."""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is only partly annotated.)
from __future__ import annotations

import codecs
import contextlib
import json
import os
import selectors
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.jsonutil import json_default

from start_tools.sandbox.script import Bytes
from start_tools.sandbox.sizes import PICTURE, largest_message

SHOWN = ("text/plain", "text/latex", "image/png")
"""MIME types of a value that are sent. Nobody reads the others, and some are large."""


def packer(limit: int) -> Callable[[object], bytes]:
    """Returns a serializer that bounds messages: it keeps `limit` characters of each end of a text.

    It writes ASCII, so that a lone surrogate, which UTF-8 cannot encode, does not lose a message.
    A message that is still too large is sent without content: the host would not read it.
    """
    most = largest_message(limit // 2)  # the other half is for the rest of the message

    def shorten(value: object) -> object:
        match value:
            case {"image/png": str(picture), **rest}:
                kept = picture if len(picture) <= PICTURE else ""
                return {"image/png": kept, **{key: shorten(item) for key, item in rest.items()}}
            case str() if len(value) > 2 * limit:
                return [value[:limit], len(value) - 2 * limit, value[-limit:]]
            case dict():
                return {key: shorten(item) for key, item in value.items()}
            case list() | tuple():
                return [shorten(item) for item in value]
        return value

    def pack(message: object) -> bytes:
        match message:
            case {"data": dict(data), "metadata": _, **rest}:
                message = {**rest, "data": {kind: data[kind] for kind in SHOWN if kind in data}}
        packed = json.dumps(shorten(message), default=json_default).encode("ascii")
        return packed if len(packed) <= most else b"{}"

    return pack


@dataclass(frozen=True, slots=True)
class Pipe:
    """The target of descriptors 1 and 2 of a cell and of the child processes that it starts."""

    read_end: int
    parent: Any
    """The cell's request message."""
    decoder: codecs.IncrementalDecoder


class Streams:
    """Sends what child processes and C code write to descriptors 1 and 2 to where `print` writes.

    ipykernel can do this too, but then a value, an error or the end of the cell may overtake the
    output. The stream is flushed before each of these, so a flush reads the pipe to its end. Each
    cell has its own pipe, so later output of its child processes is still attributed to it.

    Unlike ipykernel's, a flush does not wait for the sending thread: it queues its message there,
    before whatever follows, which saves a few thread switches per round trip. It waits only when
    many messages are queued, so that a cell cannot write faster than its host reads.
    """

    QUEUED = 100
    """Messages that may be queued before a flush waits."""
    PIECES = 64
    """Reads per flush, of 64 KiB each: a process that has ended left at most a full pipe."""
    LONG = 1 << 20
    """Characters that are written at once."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._pipes: dict[int, Pipe] = {}
        self._selector = selectors.DefaultSelector()
        self._null = os.open(os.devnull, os.O_RDWR)
        self._current = self._open({})
        stream._original_stdstream_copy = 1  # the result of `sys.stdout.fileno()`
        self._flush_and_wait, self._flush_buffers = stream.flush, stream._flush
        self._write_at_once = stream.write
        self._buffer = Bytes(stream)
        self._ours: dict[str, Any] = {"write": self._write}
        self._ours |= {"flush": self.flush, "_flush": self._send}
        # Not in the sending thread: a cell's first output would wake it and so slow the cell.
        self._ours["_schedule_flush"] = lambda: None
        self._ours["close"] = self.flush  # a real close would last for all later cells
        # What scripts use of a real stream: its encoding is UTF-8 already, whatever they ask for.
        self._ours |= {"buffer": self._buffer, "detach": lambda: self._buffer}
        self._ours |= {"reconfigure": lambda **_: None, "line_buffering": False, "mode": "w"}
        vars(stream).update(self._ours)
        threading.Thread(target=self._read_on, daemon=True).start()
        os.register_at_fork(after_in_child=self._renew_lock)

    def begin(self, parent: Any) -> None:
        """Prepares the streams for a cell, whatever the previous one has done to them.

        Args:
            parent: the cell's request message.
        """
        self._stream.set_parent(parent)  # ipykernel has set it on the previous stream
        self._restore()
        with self._lock:
            last = self._current
            self._unwatch(last)  # it usually ends now: wake no thread for that
            self._current = self._open(parent)
            if self._read(last, self.PIECES):
                self._selector.register(last.read_end, selectors.EVENT_READ)

    def end(self) -> None:
        """Passes on what is left in a stream that the cell has put in place of ours."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not self._stream:
                with contextlib.suppress(BaseException):  # the cell's own code, also interrupted
                    stream.flush()
        self._restore()
        self._buffer.finish()

    def _restore(self) -> None:
        # Scripts return to `sys.__stdout__` after they have captured what something prints.
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = self._stream  # type: ignore[misc]
        vars(self._stream).update(self._ours)
        try:
            os.fstat(0)
        except OSError:
            os.dup2(self._null, 0)
        # A replaced standard input stays, as other variables do.
        if getattr(sys.stdin, "closed", True):
            stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stdin = sys.__stdin__ = stdin  # type: ignore[misc]

    def _open(self, parent: Any) -> Pipe:
        for number in (1, 2):  # a cell may have closed them; keep the pipe off these numbers
            os.dup2(self._null, number)
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        for number in (1, 2):
            os.dup2(write_end, number)
        os.close(write_end)
        pipe = Pipe(read_end, parent, codecs.getincrementaldecoder("utf-8")("replace"))
        self._pipes[read_end] = pipe
        self._selector.register(read_end, selectors.EVENT_READ)
        return pipe

    def _renew_lock(self) -> None:
        """Replaces the lock in a fork, where the thread that held it does not exist."""
        self._lock = threading.RLock()

    def _read_on(self) -> None:
        """Reads what is written between flushes and by child processes of earlier cells."""
        while True:
            ready = self._selector.select(self._stream.flush_interval)
            if not ready and self._stream._buffers:
                self._send()
            for key, _ in ready:
                with self._lock:
                    if pipe := self._pipes.get(key.fd):
                        self._read(pipe, 1)

    def _read(self, pipe: Pipe, pieces: int) -> bool:
        """Passes on what has been written so far; returns False if no writer is left."""
        with self._lock:
            if self._pipes.get(pipe.read_end) is not pipe:
                return False
            token = self._stream.set_thread_parent(pipe.parent)
            try:
                for _ in range(pieces):
                    data = os.read(pipe.read_end, 1 << 16)
                    if not data:
                        self._unwatch(pipe)  # first, because a fork of this process keeps it open
                        os.close(self._pipes.pop(pipe.read_end).read_end)
                        return False
                    if text := pipe.decoder.decode(data):
                        self._stream.write(text)
            except BlockingIOError:
                pass
            finally:
                self._stream.reset_thread_parent(token)
            return True

    def _unwatch(self, pipe: Pipe) -> None:
        with contextlib.suppress(KeyError):  # not watched
            self._selector.unregister(pipe.read_end)

    def _write(self, text: str) -> int:
        """Writes a long text in pieces: a buffer and a message of it might not fit the memory."""
        if not isinstance(text, str) or len(text) <= self.LONG:
            return self._write_at_once(text)  # type: ignore[no-any-return]
        for start in range(0, len(text), self.LONG):
            self._write_at_once(text[start : start + self.LONG])
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Passes on everything that has been written so far."""
        stream = self._stream
        if not stream._is_master_process():  # a fork has no reader thread
            self._flush_and_wait()
            return
        self._read(self._current, self.PIECES)
        if len(stream.pub_thread._events) > self.QUEUED:
            self._flush_and_wait()
        else:
            self._send()

    def _send(self) -> None:
        with self._lock:  # or output that another thread took earlier might be queued later
            self._flush_buffers()


def keep_parents(shell: ZMQInteractiveShell) -> None:
    """Attributes a thread's output to the cell that started it, even while a later cell runs.

    By default, ipykernel attributes it to the latest cell. The output of a pool thread belongs to
    the cell that submitted the work.
    """
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def belonging(call: Callable[..., Any]) -> Callable[..., Any]:
        parent = shell.get_parent()

        def called(*args: Any, **kwargs: Any) -> Any:
            shell.set_thread_parent(parent)
            return call(*args, **kwargs)

        return called

    def start_thread(thread: threading.Thread) -> None:
        thread.run = belonging(thread.run)  # type: ignore[method-assign]
        start(thread)

    def submit_work(pool: ThreadPoolExecutor, call: Any, /, *args: Any, **kwargs: Any) -> Any:
        return submit(pool, belonging(call), *args, **kwargs)

    threading.Thread.start = start_thread  # type: ignore[assignment, method-assign]
    ThreadPoolExecutor.submit = submit_work  # type: ignore[assignment, method-assign]
