"""`start-sdk check-backend`: conformance checks for a backend."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from start_sdk import testing
from start_sdk._printing import Terminal
from start_sdk.cli._common import fail, one_line_errors, quiet_libraries
from start_sdk.cli._models import (
    ApiKeyEnv,
    BackendName,
    BackendOptions,
    BaseUrl,
    Choice,
    Mode,
    TokenizerName,
)


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
) -> None:
    """Check whether a backend supports sessions, and what each missing property costs."""
    quiet_libraries(model)
    chosen = Choice(model, backend, base_url, mode, tokenizer, api_key_env, backend_option)
    opened = chosen.open()

    async def check() -> list[testing.Check]:
        async with aclosing(opened):
            return await testing.check_backend(opened)

    checks = asyncio.run(check())
    console, capabilities = Terminal(), opened.capabilities
    console.show((f"{capabilities.model} on {capabilities.note}", "bold"))
    for c in checks:
        mark = ("  ✓ ", "green") if c.ok else ("  ✗ " if c.required else "  · ", "red")
        line = f"{c.name:<44}" + ("" if c.ok else f"{c.cost} ({c.detail})")
        console.show(mark, line.rstrip())
    if broken := [c.name for c in checks if c.required and not c.ok]:
        fail(f"the backend breaks the contract: {', '.join(broken)}")
