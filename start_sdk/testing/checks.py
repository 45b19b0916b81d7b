"""Whether what others make keeps the contracts of `start_sdk.protocols`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from start_sdk.errors import ConfigError
from start_sdk.protocols import Backend, Chunk, Interpreter, Sampling, Tool
from start_sdk.toolbox import Toolbox


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a conformance report."""

    name: str
    ok: bool
    detail: str = ""


async def check_backend(backend: Backend) -> list[Check]:
    """Whether a backend keeps the contract of `Backend`, on a few tokens of its own making."""
    tokenizer = backend.tokenizer
    prompt = tokenizer.render([{"role": "user", "content": "What is 2 + 2?"}])
    greedy = Sampling(temperature=0)

    async def take(
        prefix: Sequence[int], stop: Sequence[str] = (), n: int = 24, sampling: Sampling = greedy
    ) -> tuple[list[int], str, Chunk]:
        ids: list[int] = []
        text = ""
        last = Chunk()
        async for last in backend.generate(prefix, sampling, stop, max_tokens=n):
            ids += last.token_ids
            text += last.text
        return ids, text, last

    ids, text, last = await take(prompt)
    checks = [
        Check("ends with a reason", last.reason in ("eos", "length"), f"{last.reason}"),
        Check("returns at most max_tokens", len(ids) + len(last.matched_ids) <= 24, f"{len(ids)}"),
        Check("text is what the ids spell", tokenizer.decode(ids) == text, repr(text[:40])),
    ]
    again, _, _ = await take([*prompt, *ids[:8]], n=max(1, len(ids) - 8))
    checks.append(Check("continues a prefix exactly", ids[:8] + again == ids))
    letters = [c for c in text if c.strip()]
    if letters:
        stop = letters[len(letters) // 2]
        head, before, at = await take(prompt, [stop])
        whole = [*head, *at.matched_ids]
        checks += [
            Check("stops inside thinking", at.reason == "stop" and at.stop == stop, repr(stop)),
            Check("withholds the match", stop not in before and stop in at.matched_text),
            Check("matched ids continue the rest", whole == ids[: len(whole)]),
        ]
    seeded = Sampling(temperature=1.0, top_p=1.0, seed=7)
    one, two = (await take(prompt, sampling=seeded))[0], (await take(prompt, sampling=seeded))[0]
    checks.append(Check("the same seed gives the same tokens", one == two))
    async for _ in (stream := backend.generate(prompt, greedy, max_tokens=1_000)):
        break
    await stream.aclose()
    after, _, _ = await take(prompt)
    checks.append(Check("works on after a generation was abandoned", after == ids))
    return checks


async def check_interpreter(interpreter: Interpreter) -> list[Check]:
    """Whether an interpreter keeps the contract of `Interpreter`, for Python."""
    async with interpreter.open() as kernel, interpreter.open() as other:
        first = await kernel.run("x = 41")
        second = await kernel.run("print(x + 1)")
        foreign = await other.run("x")
        late = await kernel.run("while True:\n    pass", timeout=1.0)
        after = await kernel.run("print('on')")
    return [
        Check(
            "a silent cell is ok and empty", (first.status, first.text) == ("ok", ""), first.text
        ),
        Check("state is kept between cells", second.text.strip() == "42", second.text),
        Check("kernels share nothing", foreign.status == "error", foreign.text),
        Check(
            "an error is told in its last line",
            "NameError" in foreign.text.rstrip().rpartition("\n")[2],
        ),
        Check("a cell that runs too long ends", late.status in ("timeout", "killed"), late.status),
        Check("the kernel works on afterwards", after.text.strip() == "on", after.text),
    ]


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
