"""The command line of a program: what it quotes is only shown, and what runs a model."""

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


def add_backend_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--backend-option`, as `start-sdk ask` has it (`parsed_options` reads its values), and
    `--server`."""
    parser.add_argument(
        "--backend-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the backend, e.g. threads=2; repeatable",
    )
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="URL",
        help="a server that has the model; repeatable: sessions are spread over all of them",
    )
