"""The command line, one module for each command of `start-sdk`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from start_sdk._printing import Terminal, report_visibly, say, styled
from start_sdk._text.visible import visible
from start_sdk.cli import ask, check_backend, check_model, demo, doctor, fetch, rows, solve
from start_sdk.cli._models import parsed_options
from start_sdk.cli._options import check_writable, load_policy

__all__ = [
    "Terminal",
    "app",
    "check_writable",
    "load_policy",
    "main",
    "parsed_options",
    "report_visibly",
    "say",
    "styled",
    "visible",
]


class Commands(TyperGroup):
    """The commands. Errors quote arguments, which may be the names of someone else's files."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:  # typer has its own copy of click, whose classes have no name
            if isinstance(message := getattr(error, "message", None), str):
                error.message = visible(message)  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    cls=Commands,
    help="Long chains of thought that run Python along the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    ask.ask,
    solve.solve,
    rows.rows,
    check_backend.check_backend,
    check_model.check_model,
    demo.demo,
    fetch.fetch,
    doctor.doctor,
):
    app.command()(command)


def main() -> None:
    """Entry point of `start-sdk` and `python -m start_sdk`."""
    report_visibly()
    # `app()` would put its own report of bugs in place of ours.
    typer.main.get_command(app)(prog_name="start-sdk")


def show_version(wanted: bool) -> None:
    if wanted:
        say(version("start-sdk"))
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
