"""`start-sdk ask`: one question, streamed to the terminal."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated

import typer

from start_sdk import models, plugins
from start_sdk._printing import Terminal
from start_sdk.cli._common import (
    Hints,
    Seed,
    Temperature,
    one_line_errors,
    quiet_libraries,
    say_json,
)
from start_sdk.cli._models import (
    ApiKeyEnv,
    BackendName,
    BackendOptions,
    BaseUrl,
    Choice,
    Mode,
    Model,
    TokenizerName,
    waiting,
)
from start_sdk.cli._options import check_writable, load_policy, load_tool
from start_sdk.cli._steering import Steering
from start_sdk.cli._terminal import TerminalView
from start_sdk.errors import PromptError
from start_sdk.generation import Sampling
from start_sdk.protocols import Interpreter
from start_sdk.session import Limits, ReasoningSession, Run

PYTHON_SECONDS = 5.0
"""How long a run waits for Python before it begins: kernels start while the model loads, and what
is not there by then is waited for by the first cell."""


@one_line_errors
def ask(
    question: Annotated[str, typer.Argument(help="The question to think about.")],
    model: Model = None,
    backend: BackendName = None,
    base_url: BaseUrl = None,
    mode: Mode = None,
    tokenizer: TokenizerName = None,
    api_key_env: ApiKeyEnv = None,
    backend_option: BackendOptions = None,
    hints: Hints = "none",
    tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool that code can call: NAME or NAME=VALUE, e.g. search=FOLDER."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="With --hints end: number of hints.")] = 1,
    max_calls: Annotated[int, typer.Option(help="Maximum number of cells to run.")] = 6,
    max_tokens: Annotated[
        int, typer.Option(help="Maximum number of tokens to sample; at most the model's context.")
    ] = 32_768,
    max_repeats: Annotated[
        int, typer.Option(help="End a thought that repeats itself this often; 0 never does.")
    ] = 8,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    steer: Annotated[
        bool, typer.Option("--steer", help="Insert each line of standard input into the thought.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the trace as JSON, and nothing else.")
    ] = False,
    trace: Annotated[Path | None, typer.Option(help="Also write the trace to this file.")] = None,
) -> None:
    """Answer a question, running Python along the way."""
    if not question.strip():
        raise PromptError("the question is empty")
    if trace:
        check_writable(trace)
    tools = [load_tool(named) for named in tool or ()]
    policy = load_policy(hints, rounds, seed, [hint for t in tools for hint in t.hints])
    sampling = Sampling(temperature=temperature, seed=seed)
    limits = Limits(max_calls=max_calls, max_tokens=max_tokens, max_repeats=max_repeats or None)
    chosen = Choice(model, backend, base_url, mode, tokenizer, api_key_env, backend_option)
    if why := models.outside(chosen.model, question):
        raise PromptError(f"{why} Name a larger model with --model, e.g. --model Qwen/Qwen3-4B.")
    interpreter = plugins.load("interpreters", "python")()
    quiet_libraries(chosen.model)
    kernels = started_early(interpreter)
    opened = chosen.open()
    with waiting("starting Python"):
        kernels.join(PYTHON_SECONDS)
    session = ReasoningSession(
        opened,
        interpreter=interpreter,
        tools=tools,
        hints=policy,
        limits=limits,
        sampling=sampling,
        system=system,
    )
    errors = Terminal(stderr=True)
    engine = opened.capabilities.note or chosen.plugin
    spends = f"at most {session.limits.max_tokens:,} tokens and {max_calls} cells"
    errors.show((f"{chosen.model} on {engine}; {spends}", "dim"))
    if steer and sys.stdin and sys.stdin.isatty():
        errors.show(("type a line and press Enter to insert it into the thought", "dim"))
    run = session.stream(question)
    view = None if json else TerminalView(Terminal())
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
    finally:  # also after an error or Ctrl-C: nothing computed is lost
        deliver(run, view, trace, as_json=json)
        for line in steering.unused() if steering else ():
            errors.show((f"not inserted, too late: {line}", "yellow"))


def started_early(interpreter: Interpreter) -> threading.Thread:
    """Starts what kernels come from, on a thread, while the model loads."""

    async def start() -> None:
        with suppress(Exception):  # the first cell reports it, if there is one
            async with interpreter.open():
                pass

    def work() -> None:
        asyncio.run(start())

    thread = threading.Thread(target=work, name="early kernel", daemon=True)
    thread.start()
    return thread


def deliver(run: Run, view: TerminalView | None, path: Path | None, *, as_json: bool) -> None:
    """Prints and writes the trace, complete or up to where the run stopped."""
    if as_json:
        say_json(run.trace.model_dump_json())
    elif view:
        view.finish(run.trace)
    if path:
        run.trace.save(path)
