"""Collects what the kernel sends back for one cell."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

from start_tools.python.calls import Calls
from start_tools.python.output import Output, clean

GRACE = 2.0
"""Seconds of silence to wait for the other half of a cell's end; it takes milliseconds."""
MAX_OUTPUT = 20_000_000
"""Maximum number of characters that a cell may write."""
MAX_SHOWN = 8
"""Maximum number of pictures, and of formulas, kept per cell."""


def read_png(text: object) -> tuple[str, int, int] | None:
    """Returns a PNG as clean base64, with its width and height; None if it is not a PNG.

    A cell can send anything, and the result is put into HTML pages.
    """
    if not isinstance(text, str):
        return None
    try:
        data = base64.b64decode(text)
    except ValueError:
        return None
    if len(data) < 24 or not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    width, height = struct.unpack(">II", data[16:24])
    return base64.b64encode(data).decode(), width, height


class Cell:
    """A running request and what the kernel has sent for it."""

    def __init__(self, output: Output, calls: Calls) -> None:
        self._loop = asyncio.get_running_loop()
        self.output = output
        self.calls = calls
        self.id = ""
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.flooded: asyncio.Future[None] = self._loop.create_future()
        """Done when more than MAX_OUTPUT characters have arrived."""
        self.pictures: list[str] = []
        """PNGs in base64."""
        self.latex: list[str] = []
        self.failed = False
        self.error: object = None
        """The last line of the traceback, if the cell raised."""
        self.interrupted = False
        """Whether the cell raised an exception that an interrupt raises."""
        self._idle = self._replied = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def complete(self) -> bool:
        """Whether the outcome is known and the idle message says that nothing follows.

        The outcome is the reply, or an error that ipykernel cannot put into a reply because its
        text cannot be obtained.
        """
        return self._idle and (self._replied or self.error is not None)

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Handles a message that belongs to this cell."""
        match kind:
            case "stream":
                self.output.add(content["text"])
            case "execute_result" | "display_data":
                self._show(content["data"])
            case "error":
                *frames, last = content["traceback"]
                for frame in frames:
                    self.output.add_block(frame)
                self.error = last
                self.interrupted = content["ename"] in ("KeyboardInterrupt", "CancelledError")
            case "input_request":
                self.calls.ask(content["prompt"])
            case "execute_reply":
                self._replied = True
                self.failed = content["status"] != "ok"
                self._ended()
            case "status" if content["execution_state"] == "idle":
                self._idle = True
                self._ended()
        if self._timer:  # messages still arrive: the end may follow them
            self._ended()
        if self.output.seen > MAX_OUTPUT and not self.flooded.done():
            self.flooded.set_result(None)

    def _show(self, data: dict[str, Any]) -> None:
        """Adds the text to the output, and keeps pictures and LaTeX separately, for people."""
        self.output.add_block(data.get("text/plain", ""))
        latex = data.get("text/latex")
        if isinstance(latex, str) and len(self.latex) < MAX_SHOWN:
            self.latex.append(clean(latex))
        if "image/png" not in data:
            return
        picture = read_png(data["image/png"])
        if not picture:
            self.output.add_block("[a picture was too large, or none, and was left out]")
        elif len(self.pictures) == MAX_SHOWN:
            self.output.add_block(f"[a picture was left out: {MAX_SHOWN} are kept]")
        else:
            text, width, height = picture
            self.pictures.append(text)
            self.output.add_block(f"[picture {len(self.pictures)}: {width} x {height} pixels]")

    def cut_off(self) -> None:
        """The connection is lost. If the kernel has died, that is known within moments."""
        self._ended()

    def _ended(self) -> None:
        """The reply and the idle message end a cell; one alone ends it after GRACE seconds."""
        if self._timer:
            self._timer.cancel()
        if self._idle and self._replied:
            self._finish()
        else:
            self._timer = self._loop.call_later(GRACE, self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
