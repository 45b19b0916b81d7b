"""The terminal. All that is printed goes through here, and none of it is control or markup.

Models, cells, servers, files and plugins write what is printed. On a terminal an escape sequence
fills the clipboard, sets the title or clears the screen, and the order of characters can be faked.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from start_sdk._text.visible import visible


class Terminal(Console):
    """A console that writes escape sequences of its own only, and reads no markup.

    Layout is right if texts are made by `styled`, or are plain strings; what else is printed is
    escaped after it was laid out.

    Args:
        stderr: whether to write to standard error.
        **options: as for `rich.console.Console`.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)

    def show(self, *parts: str | tuple[str, str]) -> None:
        """Prints one line that does not wrap, of parts without or with a style."""
        texts = [(part, "") if isinstance(part, str) else part for part in parts]
        self.print(
            Text.assemble(*((visible(text, keep=""), style) for text, style in texts)),
            soft_wrap=True,
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def styled(text: str, style: str = "") -> Text:
    """Lines of text that only show."""
    return Text(visible(text), style)


def say(text: str = "", *, error: bool = False) -> None:
    """Prints lines of text as they are, on standard output or standard error."""
    print(visible(text), file=sys.stderr if error else sys.stdout, flush=True)


def report_visibly() -> None:
    """Prints Python's own warnings and tracebacks through `say`: they quote what they are about."""
    warnings.showwarning = _warn
    sys.excepthook = _trace_back


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    say(f"{category.__name__}: {message}", error=True)


def _trace_back(
    kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> None:
    say("".join(traceback.format_exception(kind, error, where)).rstrip("\n"), error=True)
