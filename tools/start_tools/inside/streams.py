"""The way of a cell's output: into messages of bounded size that belong to the right cell."""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is annotated in parts.)
from __future__ import annotations

import codecs
import contextlib
import json
import os
import select
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.jsonutil import json_default

MAX_PICTURE = 2_000_000
"""Characters of a picture, in base64; a larger one is not sent."""


def packer(limit: int) -> Callable[[object], bytes]:
    """Writes messages of bounded length: of each text at most `limit` characters from each end.

    Written in ASCII, so that a lone surrogate, which UTF-8 cannot hold, does not lose a message.
    """

    def shorten(value: object) -> object:
        match value:
            case {"image/png": str(picture), **rest}:
                kept = picture if len(picture) <= MAX_PICTURE else ""
                return {"image/png": kept, **{key: shorten(item) for key, item in rest.items()}}
            case str() if len(value) > 2 * limit:
                return [value[:limit], len(value) - 2 * limit, value[-limit:]]
            case dict():
                return {key: shorten(item) for key, item in value.items()}
            case list() | tuple():
                return [shorten(item) for item in value]
        return value

    return lambda message: json.dumps(shorten(message), default=json_default).encode("ascii")


class Descriptors:
    """What child processes and code in C write to descriptors 1 and 2 goes where `print` goes.

    ipykernel can do that, too, but there a value, an error or the end of the cell may overtake it.
    Before each of these the stream is flushed, so that is where it is read to the end.

    A flush, other than ipykernel's, does not wait for the thread that sends but puts its message
    into that thread's queue, before whatever follows: a round trip is a few changes of thread
    shorter. It waits where much is queued, so that a cell cannot write faster than its host reads.
    """

    QUEUED = 100
    """Messages that may wait to be sent."""
    PIECES = 64
    """Reads of a flush, of 64 KiB: what ended before has written no more than a pipe holds."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        os.dup2(self._write_end, 1)
        os.dup2(self._write_end, 2)
        stream._original_stdstream_copy = self._write_end  # what `sys.stdout.fileno()` says
        self._flush_and_wait, stream.flush = stream.flush, self.flush
        self._flush_buffers, stream._flush = stream._flush, self._send
        stream.close = self.flush  # closed, it would be so for all cells to come
        threading.Thread(target=self._read_on, daemon=True).start()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        """In a fork: the thread that held it is not there."""
        self._lock = threading.RLock()

    def _read_on(self) -> None:
        """What is written between flushes."""
        while select.select([self._read_end], [], []):
            self._read(1)

    def _read(self, pieces: int) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            for _ in range(pieces):
                data = os.read(self._read_end, 1 << 16)
                if text := self._decoder.decode(data):
                    self._stream.write(text)

    def flush(self) -> None:
        """Hands on all that has been written so far."""
        stream = self._stream
        if not stream._is_master_process():  # in a fork nobody reads
            self._flush_and_wait()
            return
        self._read(self.PIECES)
        if len(stream.pub_thread._events) > self.QUEUED:
            self._flush_and_wait()
        else:
            self._send()

    def _send(self) -> None:
        with self._lock:  # or what another thread took earlier might be queued later
            self._flush_buffers()


def keep_parents(shell: ZMQInteractiveShell) -> None:
    """Output of a thread goes to the cell that started it, even while a later cell runs.

    Left alone, ipykernel gives it to the latest cell. A thread of a pool works for the cell that
    handed in the work.
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
