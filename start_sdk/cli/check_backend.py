"""`start-sdk check-backend`: conformance checks for a backend."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated

import typer

from start_sdk import testing
from start_sdk._printing import Terminal
from start_sdk.cli._common import fail, one_line_errors, quiet_libraries, say_json
from start_sdk.cli._models import (
    ApiKeyEnv,
    BackendName,
    BackendOptions,
    BaseUrl,
    Choice,
    Mode,
    TokenizerName,
    waiting,
)
from start_sdk.generation import Capabilities


@one_line_errors
def check_backend(
    model: Annotated[
        str, typer.Argument(help="A model, as for --model of ask, or the address of a server.")
    ],
    backend: BackendName = None,
    base_url: BaseUrl = None,
    mode: Mode = None,
    tokenizer: TokenizerName = None,
    api_key_env: ApiKeyEnv = None,
    backend_option: BackendOptions = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")
    ] = False,
) -> None:
    """Check what sessions can do with a model or server, what each lack costs and what may help."""
    quiet_libraries(model)
    chosen = Choice(model, backend, base_url, mode, tokenizer, api_key_env, backend_option)
    opened = chosen.open()

    async def check() -> tuple[list[testing.Check], dict[str, str]]:
        async with aclosing(opened):
            checks = await testing.check_backend(opened)
            works = all(c.ok for c in checks if c.required)
            return checks, await testing.describe_backend(opened) if works else {}

    with waiting(f"checking {opened.capabilities.model}"):
        checks, facts = asyncio.run(check())
    if json:
        found = {"model": opened.capabilities.model, **facts, "checks": [asdict(c) for c in checks]}
        say_json(json_module.dumps(found))
    else:
        show(opened.capabilities, checks, facts)
    if broken := [c.name for c in checks if c.required and not c.ok]:
        fail(f"the backend breaks the contract: {', '.join(broken)}")


def show(
    capabilities: Capabilities, checks: Sequence[testing.Check], facts: Mapping[str, str]
) -> None:
    """The findings as text: a cross breaks the contract, a dot is a lack that only costs."""
    console = Terminal()
    console.show((f"{capabilities.model} on {capabilities.note}", "bold"))
    for label, value in facts.items():
        if value != capabilities.note:
            console.show(f"  {label:<10}{value}")
    for c in checks:
        mark = ("  ✓ ", "green") if c.ok else ("  ✗ " if c.required else "  · ", "red")
        console.show(mark, f"{c.name:<44}{c.detail}".rstrip())
        if not c.ok:
            for label, text in (("costs", c.cost), ("helps", c.helps)):
                if text:
                    console.show((f"      {label}: {text}", "dim"))
