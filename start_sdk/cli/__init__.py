"""The command line, one module for each command of `start-sdk`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from start_sdk.cli import ask, check_backend, check_model, doctor, solve
from start_sdk.cli._options import check_writable, load_policy

__all__ = ["app", "check_writable", "load_policy", "main"]

app = typer.Typer(
    help="Long chains of thought that run Python along the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    ask.ask,
    solve.solve,
    check_backend.check_backend,
    check_model.check_model,
    doctor.doctor,
):
    app.command()(command)


def main() -> None:
    """Entry point of `start-sdk` and `python -m start_sdk`."""
    app(prog_name="start-sdk")


def show_version(wanted: bool) -> None:
    if wanted:
        Console().print(version("start-sdk"))
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of `start-sdk` itself."""
