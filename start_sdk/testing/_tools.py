"""Conformance checks for tools."""

from __future__ import annotations

import json

from pydantic import JsonValue

from start_sdk.errors import ConfigError
from start_sdk.protocols import Tool
from start_sdk.testing._check import Check
from start_sdk.tools import Toolbox


async def check_tool(tool: Tool, arguments: dict[str, JsonValue]) -> list[Check]:
    """Checks that a tool meets the contract of `Tool`. The tool is called with `arguments`."""
    try:
        box = Toolbox([tool])
    except ConfigError as error:
        return [Check("its name, signature and limits are valid", False, str(error))]
    done = await box.call(tool.name, json.dumps(arguments))
    odd = await box.call(tool.name, json.dumps({**arguments, "no_such_argument": 1}))
    required = tool.parameters.get("required")
    first = required[0] if isinstance(required, list) and required else None
    less = {key: value for key, value in arguments.items() if key != first}
    incomplete = await box.call(tool.name, json.dumps(less))
    wrong = ("TypeError", "ValueError")
    return [
        Check("its name, signature and limits are valid", True, tool.name + tool.signature),
        Check("it has a description", bool(tool.description.strip())),
        Check("its parameters are an object schema", tool.parameters.get("type") == "object"),
        Check("a call returns a result", done.error is None, done.message),
        Check("an unknown argument is rejected", odd.error in wrong, odd.message),
        Check(
            "a missing argument is rejected and named",
            first is None or (incomplete.error in wrong and str(first) in incomplete.message),
            incomplete.message,
        ),
    ]
