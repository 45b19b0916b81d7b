"""What a person sees while a model thinks."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich.console import Console

from start_sdk import BeforeEnd, CellResult, Delta, Limits, ReasoningSession
from start_sdk.cli._terminal import TerminalView
from start_sdk.testing import FakeInterpreter, ScriptedBackend


async def shown(script: Sequence[str], *, color: bool = False, limits: Limits | None = None) -> str:
    cells: dict[str, str | CellResult] = {
        "print(2 + 2)": CellResult("ok", "4\n```\n5", 0.25),
        "1/0": CellResult("error", "ZeroDivisionError: division by zero", 0.01),
    }
    session = ReasoningSession(
        ScriptedBackend(script),
        interpreter=FakeInterpreter(cells),
        hints=BeforeEnd(),
        limits=limits,
    )
    out = io.StringIO()
    console = Console(
        file=out, width=80, force_terminal=color, color_system="standard" if color else None
    )
    view = TerminalView(console)
    run = session.stream("?")
    async for event in run:
        view.show(event)
    view.finish(run.trace)
    return out.getvalue()


async def test_a_thought_is_shown_with_cells_and_outputs_as_in_a_notebook() -> None:
    script = [
        "I think `x` is 5.\n</think>",
        "\nprint(2 + 2)\n```\n",
        "So 4.\n</think>\n\n\\boxed{4}",
    ]
    *lines, cost = (await shown(script)).splitlines()
    assert cost.startswith("model ") and cost.endswith("tokens recomputed: unknown")
    assert lines == [
        "I think `x` is 5.",
        "",
        "Wait, maybe using python here is a good idea.",
        "╭─ In [1]",
        "│ print(2 + 2)",
        "╰─",
        "╭─ Out [1] · ok · 0.25 s",
        "│ 4",
        "│ ```",
        "│ 5",
        "╰─",
        "So 4.",
        "",
        "",
        "\\boxed{4}",
        "",
        "╭─ answer ─╮",
        "│ 4        │",
        "╰──────────╯",
        "55 tokens, 1 hints, 1 calls, finish eos",
    ]


async def test_colours_show_the_source() -> None:
    text = await shown(["5\n</think>", "\n1/0\n```\n", "Oh.\n</think>\n\n4"], color=True)
    dim, hint, red = "\x1b[2m", "\x1b[1;33m", "\x1b[31m"
    assert f"{dim}5" in text and f"{hint}Wait, maybe" in text and f"{red}╭─ Out [1] · error" in text


async def test_the_view_does_not_depend_on_how_text_is_split() -> None:
    script = ["A\n```python\nprint(2 + 2)\n```\n", "B `c`\n```cpp\nint x;\n```\nC</think>4"]
    whole = await shown(script)
    out = io.StringIO()
    view = TerminalView(Console(file=out, width=80))
    text = "A\n```python\nprint(2 + 2)\n```\n"
    for character in text:
        view.show(Delta(character, (0,), "thinking"))
    assert whole.startswith(out.getvalue()) and "╭─ In [1]\n│ print(2 + 2)\n╰─\n" in out.getvalue()
    assert "╭─ cpp\n│ int x;\n╰─\n" in whole


async def test_a_block_cut_off_by_a_limit_is_closed() -> None:
    limits = Limits(max_tokens=60, answer_reserve=20)
    text = await shown(["```python\n" + "x = 1\n" * 50, "4"], limits=limits)
    assert re.search(r"│ x.*\n╰─\n", text) and "no tokens left for thinking" in text
