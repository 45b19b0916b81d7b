"""The command line of a program: what it quotes is text, whoever wrote it."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from start_sdk.cli import report_visibly, visible


class CommandLine(argparse.ArgumentParser):
    """A parser whose errors cannot control the terminal, nor those that Python prints from here on.

    Arguments may be names of someone else's files, and errors quote what those contain.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        report_visibly()

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        super().exit(status, message and visible(message))
