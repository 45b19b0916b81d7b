"""`start-sdk check-model`: how a model writes, and what sessions can do with it."""

from __future__ import annotations

import asyncio
import json as json_module
from typing import Annotated, Any

import typer

from start_sdk import models, plugins
from start_sdk._printing import Terminal, say
from start_sdk._verify import verify_trace
from start_sdk.cli._common import one_line_errors, quiet_libraries
from start_sdk.errors import MissingExtra, ModelError, StartError
from start_sdk.formats import FormatReport, check_format
from start_sdk.hints import BeforeEnd
from start_sdk.protocols import Tokenizer
from start_sdk.session import ReasoningSession
from start_sdk.testing import FakeInterpreter, ScriptedBackend
from start_sdk.trace import Trace

_OPENINGS = {
    "prompt": "in the prompt",
    "model": "with a tag that the model writes",
    "closed": "never: the prompt closes it",
}


@one_line_errors
def check_model(
    model: Annotated[
        str, typer.Argument(help="An embedded model, a folder, a GGUF file, or a hub id.")
    ],
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")
    ] = False,
) -> None:
    """Show how a model writes and what sessions can do with it; loads only its tokenizer."""
    quiet_libraries(model)
    tokenizer, context = _load(model)
    report = check_format(tokenizer)
    trace = None
    if report.format != "refused" and report.opening != "closed" and report.eos:
        trace, failure = example(tokenizer, report)
        if failure:
            problems = (*report.problems, f"a thought with a hint and a call: {failure}")
            report = report.model_copy(update={"problems": problems})
    if json:
        _write_json(model, context, report, trace)
    else:
        _show(model, context, report, trace)
    raise typer.Exit(1 if report.problems else 0)


def rows(report: FormatReport, context: int | None = None) -> dict[str, str]:
    """The findings as the command prints them: labels and values."""
    ends = " or ".join(report.ends) or "unknown"
    merges = {True: "merge with it", False: "do not merge with it", None: "unknown"}
    found = {
        "format": report.format,
        "its thought begins": _OPENINGS.get(report.opening or "", "at once, without a tag"),
        "its thought ends with": f"{ends}, {'one token' if report.tag_is_token else 'as text'}",
        "line breaks after the prompt": merges[report.merges],
        "thoughts of earlier turns": report.history or "unknown",
        "a system message": report.system or "unknown",
        "the question": "whole" if report.whole else "not whole",
        "control text": {True: "inert", False: "active", None: "unknown"}[report.inert],
        "a generation ends with": ", ".join(f"{text} ({i})" for i, text in report.eos) or "nothing",
        "context": "unknown" if context is None else f"{context} tokens",
        "it runs blocks of": ", ".join(report.languages) or "nothing",
    }
    if report.format == "refused":
        found["its thought begins"] = found["its thought ends with"] = "unknown"
    return found


def example(tokenizer: Tokenizer, report: FormatReport) -> tuple[Trace | None, str]:
    """A scripted thought with a hint and a call, spliced as in a real run, and what is wrong
    with it, "" if nothing is."""
    opening = report.tags[0] + "\n" if report.tags and report.opening == "model" else ""
    end = report.ends[0]
    script = [
        f"{opening}12 * 7 is 85.\n{end}\n\n85",
        "\nprint(12 * 7)\n```\n",
        f"So it is 84.\n{end}\n\nThe answer is \\boxed{{84}}.",
    ]
    session = ReasoningSession(
        ScriptedBackend(script, tokenizer=tokenizer),
        interpreter=FakeInterpreter({"print(12 * 7)": "84"}),
        hints=BeforeEnd(),
    )
    trace = None
    try:
        trace = asyncio.run(session.run("What is 12 * 7?"))
        verify_trace(trace, tokenizer)
    except StartError as error:
        return trace, str(error)
    sources = [s.source for s in trace.segments][:6]
    if sources != ["prompt", "model", "hint", "model", "tool", "model"] or trace.answer != "84":
        return trace, f"it ends as {', '.join(sources)} with the answer {trace.answer!r}"
    return trace, ""


def _load(model: str) -> tuple[Tokenizer, int | None]:
    """The tokenizer, and the length of the context in tokens, None if that is not known.

    Raises:
        ModelError: the tokenizer cannot be found or read.
        MissingExtra: transformers is not installed.
    """
    if plugins.backend_for(model) == "server":
        raise ModelError(
            f"{model!r} is a server: `start-sdk check-backend` asks it; check-model reads files, "
            "of an embedded model, a folder, a GGUF file, or a hub id"
        )
    source = models.find(model, weights=False)
    try:
        from transformers import AutoConfig

        from start_sdk.backends.tokenizer import load_tokenizer
    except ImportError as error:
        raise MissingExtra("check-model", "transformers") from error

    tokenizer = load_tokenizer(model)
    gguf = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    try:
        config: Any = AutoConfig.from_pretrained(source.location, **gguf)
        length = getattr(config.get_text_config(), "max_position_embeddings", None)
    except (OSError, ValueError):  # no config, or a kind of model that is not known here
        length = None
    return tokenizer, length


def _write_json(model: str, context: int | None, report: FormatReport, trace: Trace | None) -> None:
    segments = trace.segments if trace else ()
    found = {
        "model": model,
        "context": context,
        **report.model_dump(mode="json"),
        "example": [{"source": s.source, "text": s.text} for s in segments],
    }
    say(json_module.dumps(found, indent=2))


def _show(model: str, context: int | None, report: FormatReport, trace: Trace | None) -> None:
    console = Terminal()
    console.show((model, "bold"))
    for label, value in rows(report, context).items():
        console.show(f"  {label:<30}{value}")
    if trace:
        console.show(("an example, by whom each part is written", "bold"))
    for segment in trace.segments if trace else ():
        first, *rest = segment.text.removesuffix("\n").split("\n")
        console.show(f"  {f'[{segment.source}]':<9}{first}".rstrip())
        for text in rest:
            console.show(f"{'':<11}{text}".rstrip())
    if report.problems:
        console.show(("what will not work", "bold"))
    for problem in report.problems:
        console.show((f"  ✗ {problem}", "red"))
