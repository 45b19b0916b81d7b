"""Conformance checks for interpreters."""

from __future__ import annotations

from start_sdk.protocols import Interpreter
from start_sdk.testing._check import Check


async def check_interpreter(interpreter: Interpreter) -> list[Check]:
    """Checks that a Python interpreter meets the contract of `Interpreter`."""
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
            "an error is reported in the last line",
            "NameError" in foreign.text.rstrip().rpartition("\n")[2],
        ),
        Check("a cell that runs too long ends", late.status in ("timeout", "killed"), late.status),
        Check("the kernel still works afterwards", after.text.strip() == "on", after.text),
    ]
