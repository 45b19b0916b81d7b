"""The command line: `start-sdk ask`, `solve`, `check-backend` and `doctor`."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import aclosing
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
from rich.console import Console
from rich.text import Text

from start_sdk import models, plugins, testing
from start_sdk.backends import open_backend
from start_sdk.errors import PromptError, StartError
from start_sdk.limits import Limits
from start_sdk.options import check_writable, load_policy, load_tool
from start_sdk.protocols import Sampling
from start_sdk.run import Run
from start_sdk.session import ReasoningSession
from start_sdk.solve import SolveConfig, solve_file
from start_sdk.steering import Steering
from start_sdk.terminal import TerminalView

app = typer.Typer(
    help="Long chains of thought that run Python as they think.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Args = ParamSpec("Args")

# Options that more than one command has.
Model = Annotated[
    str, typer.Option(help="An embedded model, a local folder, a hub id, or a server's name of it.")
]
BackendName = Annotated[str, typer.Option(help="What runs the model.")]
Hints = Annotated[str, typer.Option(help="When to hint: none, end, connective, or a plugin.")]
Temperature = Annotated[float, typer.Option(help="0 always takes the likeliest token.")]
Seed = Annotated[int, typer.Option(help="Seed of the draws.")]


def main() -> None:
    """Entry point of the `start-sdk` command."""
    app()


def fail(message: str, code: int = 2) -> NoReturn:
    """One clear line, and out."""
    Console(stderr=True).print(
        Text(f"start-sdk: {' '.join(message.split())}", "red"), soft_wrap=True
    )
    raise typer.Exit(code)


def one_line_errors(command: Callable[Args, None]) -> Callable[Args, None]:
    """Turns what goes wrong on purpose into one line and exit code 2; Ctrl-C into 130."""

    @wraps(command)
    def wrapped(*args: Args.args, **kwargs: Args.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except StartError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("stopped", 130)

    return wrapped


def show_version(wanted: bool) -> None:
    if wanted:
        Console().print(version("start-sdk"))
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Say which one.")
    ] = False,
) -> None:
    """What holds for all commands."""


@app.command()
@one_line_errors
def ask(
    question: Annotated[str, typer.Argument(help="What to think about.")],
    model: Model = models.DEFAULT,
    backend: BackendName = "transformers",
    hints: Hints = "none",
    tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool for code to call: NAME or NAME=VALUE, as search=FOLDER."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="With --hints end: how often to hint.")] = 1,
    max_calls: Annotated[int, typer.Option(help="Cells that may be run.")] = 6,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    steer: Annotated[
        bool, typer.Option("--steer", help="Put each line of standard input into the thought.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the trace, and nothing else.")
    ] = False,
    trace: Annotated[Path | None, typer.Option(help="Also write the trace to this file.")] = None,
) -> None:
    """Think about a question, running Python on the way."""
    if not question.strip():
        raise PromptError("the question is empty")
    if trace:
        check_writable(trace)
    tools = [load_tool(named) for named in tool or ()]
    policy = load_policy(hints, rounds, seed, [hint for t in tools for hint in t.hints])
    sampling = Sampling(temperature=temperature, seed=seed)
    limits = Limits(max_calls=max_calls)
    if why := models.outside(model, question):
        raise PromptError(f"{why} Name a larger model with --model, e.g. --model Qwen/Qwen3-4B.")
    interpreter = plugins.load("interpreters", "python")()
    quiet_libraries(model)
    opened = open_backend(model, backend)
    session = ReasoningSession(
        opened,
        interpreter=interpreter,
        tools=tools,
        hints=policy,
        limits=limits,
        sampling=sampling,
    )
    errors = Console(stderr=True)
    errors.print(Text(f"{model} on {opened.capabilities.note or backend}", "dim"), soft_wrap=True)
    if steer and sys.stdin and sys.stdin.isatty():
        errors.print(Text("type a line, and Enter puts it into the thought", "dim"))
    run = session.stream(question)
    view = None if json else TerminalView(Console())
    steering = Steering(run) if steer else None

    async def think() -> None:
        try:
            if steering:
                steering.start()
            async with aclosing(run):
                async for event in run:
                    if view:
                        view.show(event)
        finally:
            await opened.aclose()

    try:
        asyncio.run(think())
    finally:  # also of a run that failed or was stopped: nothing computed is lost
        deliver(run, view, trace, as_json=json)
        for line in steering.unused() if steering else ():
            errors.print(Text(f"too late for the thought: {line}", "yellow"), soft_wrap=True)


def deliver(run: Run, view: TerminalView | None, path: Path | None, *, as_json: bool) -> None:
    """Hands out the trace: whole, or as far as it came."""
    if as_json:
        sys.stdout.write(run.trace.model_dump_json(indent=2) + "\n")
    elif view:
        view.finish(run.trace)
    if path:
        path.write_text(run.trace.model_dump_json(indent=2) + "\n", encoding="utf-8")


def quiet_libraries(model: str) -> None:
    """Warnings become one line each; no progress bars; no network for what lies on this disk."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        Console(stderr=True).print(
            Text(f"{category.__name__}: {message}", "yellow"), soft_wrap=True
        )

    warnings.showwarning = show
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for traces
    if models.folder(model) or Path(model).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


@app.command()
@one_line_errors
def solve(
    file: Annotated[Path, typer.Argument(help="Problems, a JSON object per line.")],
    out: Annotated[Path, typer.Option(help="The folder for the rows; the same one goes on.")],
    model: Model = models.DEFAULT,
    backend: BackendName = "transformers",
    hints: Hints = "none",
    samples: Annotated[int, typer.Option(help="How often each problem is solved.")] = 1,
    at_once: Annotated[int, typer.Option(help="Sessions in flight.")] = 4,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    max_calls: Annotated[int, typer.Option(help="Cells that may be run per sample.")] = 6,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try the rows again that failed.")
    ] = False,
) -> None:
    """Think about each problem of a file. Stopped or killed, it goes on when it is run again."""
    config = SolveConfig(
        model=model,
        backend=backend,
        hints=hints,
        samples=samples,
        at_once=at_once,
        temperature=temperature,
        seed=seed,
        max_calls=max_calls,
        retry_failed=retry_failed,
    )
    policy = load_policy(hints, rounds=1, seed=seed)
    quiet_libraries(model)
    if not solve_file(file, out, config, policy):
        fail("not every line is done: see the summary")


@app.command()
@one_line_errors
def check_backend(
    model: Annotated[
        str, typer.Argument(help="A model as of --model, or the address of a server.")
    ],
    backend: Annotated[
        str | None,
        typer.Option(help="What runs the model: openai for an address, else transformers."),
    ] = None,
) -> None:
    """Say whether a backend can carry sessions, and what each thing that it cannot do costs."""
    quiet_libraries(model)
    is_address = model.startswith(("http://", "https://"))
    opened = open_backend(model, backend or ("openai" if is_address else "transformers"))

    async def check() -> list[testing.Check]:
        async with aclosing(opened):
            return await testing.check_backend(opened)

    checks = asyncio.run(check())
    console, capabilities = Console(), opened.capabilities
    console.print(Text(f"{capabilities.model} on {capabilities.note}", "bold"), soft_wrap=True)
    for c in checks:
        mark = Text("  ✓ ", "green") if c.ok else Text("  ✗ " if c.required else "  · ", "red")
        line = f"{c.name:<44}" + ("" if c.ok else f"{c.cost} ({c.detail})")
        console.print(mark + Text(line.rstrip()), soft_wrap=True)
    if broken := [c.name for c in checks if c.required and not c.ok]:
        fail(f"the contract of backends is not kept: {', '.join(broken)}")


@app.command()
@one_line_errors
def doctor() -> None:
    """Say what this machine has: versions, extras, isolation, devices, models, plugins."""
    from start_sdk.doctor import report

    console = Console()
    for title, rows in report():
        console.print(Text(title, "bold"))
        for name, value, ok in rows:
            mark = Text("  ✓ ", "green") if ok else Text("  · ", "yellow")
            console.print(
                mark + Text(f"{name:<16}") + Text(value, "" if ok else "dim"), soft_wrap=True
            )
