"""Shared by all commands: common options, one-line errors, JSON, quiet libraries."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from typing import Annotated, NoReturn, ParamSpec

import typer

from start_sdk import models
from start_sdk._printing import Terminal, report_visibly, say
from start_sdk.errors import StartError

Args = ParamSpec("Args")

# Options of more than one command.
Hints = Annotated[
    str,
    typer.Option(help="When to hint: none, end, connective, calculation, unsure, ... or a plugin."),
]
Temperature = Annotated[float, typer.Option(help="0 always picks the likeliest token.")]
Seed = Annotated[int, typer.Option(help="Seed for sampling.")]


def fail(message: str, code: int = 2) -> NoReturn:
    """Prints one line on standard error and exits."""
    Terminal(stderr=True).show((f"start-sdk: {' '.join(message.split())}", "red"))
    raise typer.Exit(code)


def one_line_errors(command: Callable[Args, None]) -> Callable[Args, None]:
    """Turns a `StartError` into one line and exit code 2, and Ctrl-C into exit code 130."""

    @wraps(command)
    def wrapped(*args: Args.args, **kwargs: Args.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except StartError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("stopped", 130)

    return wrapped


def say_json(text: str) -> None:
    """Prints JSON in ASCII: it may contain characters as they are that control a terminal."""
    say(json.dumps(json.loads(text), indent=2))


def quiet_libraries(model: str) -> None:
    """One line per warning, no progress bars, and no network access for local models."""
    report_visibly()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for traces
    if models.folder(model) or os.path.exists(model):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
