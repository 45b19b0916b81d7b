"""What comes back from the kernel for one cell."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

from start_tools.python.calls import Calls
from start_tools.python.output import Output, clean

GRACE = 2.0
"""Seconds of silence after one half of a cell's end, in which the other comes: milliseconds."""
MAX_OUTPUT = 20_000_000
"""Characters after which a cell has written too much."""
MAX_SHOWN = 8
"""Pictures of a cell that are kept, and formulas."""


def read_png(text: object) -> tuple[str, int, int] | None:
    """A PNG in base64, and nothing else, with its width and height; None if it is none.

    A cell can send what it likes, and pages are made of it.
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
    """A request that is under way, and what has come back for it."""

    def __init__(self, output: Output, calls: Calls) -> None:
        self._loop = asyncio.get_running_loop()
        self.output = output
        self.calls = calls
        self.id = ""
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.flooded: asyncio.Future[None] = self._loop.create_future()
        """Done when more than MAX_OUTPUT characters have come."""
        self.pictures: list[str] = []
        """PNG, in base64."""
        self.latex: list[str] = []
        self.failed = False
        self.error: object = None
        """The last line of the traceback of what the cell raised."""
        self.interrupted = False
        """What it raised is what an interrupt raises."""
        self._idle = self._replied = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def complete(self) -> bool:
        """How it ended is known: by the reply, or by an error that ipykernel cannot put into one
        (its text cannot be had), and the idle message says that nothing follows."""
        return self._idle and (self._replied or self.error is not None)

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Takes a message that belongs to this cell."""
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
        if self._timer:  # something still comes: the end may be behind it
            self._ended()
        if self.output.seen > MAX_OUTPUT and not self.flooded.done():
            self.flooded.set_result(None)

    def _show(self, data: dict[str, Any]) -> None:
        """Text first; what else there is of it is kept apart, for people."""
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
        """Nothing more can come in. If the kernel's death is why, that is known in a moment."""
        self._ended()

    def _ended(self) -> None:
        """The reply and the idle message end a cell. One alone does so, too, after a while."""
        if self._timer:
            self._timer.cancel()
        if self._idle and self._replied:
            self._finish()
        else:
            self._timer = self._loop.call_later(GRACE, self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
