"""The way of a cell's output: into messages of bounded size that belong to the right cell."""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is annotated in parts.)
from __future__ import annotations

import codecs
import contextlib
import json
import os
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
    Before each of these the stream is flushed, so that is where they wait.
    """

    MARK = b"\0end of cell\0"

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._marked = threading.Event()
        # A pipe of packets: the mark arrives as it was written, apart from anything else.
        self._read_end, self._write_end = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        os.dup2(self._write_end, 1)
        os.dup2(self._write_end, 2)
        stream._original_stdstream_copy = self._write_end  # what `sys.stdout.fileno()` says
        self._flush, stream.flush = stream.flush, self.flush
        stream.close = self.flush  # closed, it would be so for all cells to come
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := os.read(self._read_end, 1 << 16):
            if data == self.MARK:
                self._marked.set()
            elif text := decoder.decode(data):
                self._stream.write(text)

    def flush(self) -> None:
        """Hands on all that has been written so far."""
        if self._stream._is_master_process():  # in a fork nobody reads
            with self._lock, contextlib.suppress(OSError):
                self._marked.clear()
                os.write(self._write_end, self.MARK)
                self._marked.wait(1)
        self._flush()


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
