"""Whether a tool keeps its contract."""

from __future__ import annotations

import json

from pydantic import JsonValue

from start_sdk.errors import ConfigError
from start_sdk.protocols import Tool
from start_sdk.testing._check import Check
from start_sdk.tools import Toolbox


async def check_tool(tool: Tool, arguments: dict[str, JsonValue]) -> list[Check]:
    """Whether a tool keeps the contract of `Tool`. It is called, with `arguments` as given."""
    try:
        box = Toolbox([tool])
    except ConfigError as error:
        return [Check("its name, signature and limits can be used", False, str(error))]
    done = await box.call(tool.name, json.dumps(arguments))
    odd = await box.call(tool.name, json.dumps({**arguments, "no_such_argument": 1}))
    required = tool.parameters.get("required")
    first = required[0] if isinstance(required, list) and required else None
    less = {key: value for key, value in arguments.items() if key != first}
    lacking = await box.call(tool.name, json.dumps(less))
    wrong = ("TypeError", "ValueError")
    return [
        Check("its name, signature and limits can be used", True, tool.name + tool.signature),
        Check("it is described", bool(tool.description.strip())),
        Check(
            "its parameters are the schema of an object", tool.parameters.get("type") == "object"
        ),
        Check("a call answers", done.error is None, done.message),
        Check("an unknown argument is refused", odd.error in wrong, odd.message),
        Check(
            "a missing argument is refused and named",
            first is None or (lacking.error in wrong and str(first) in lacking.message),
            lacking.message,
        ),
    ]
