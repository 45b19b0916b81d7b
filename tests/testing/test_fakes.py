"""The conformance checks that we ship: they pass correct implementations and fail faulty ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from start_tools.python import PythonTool

from start_sdk import CellResult, Chunk, Sampling
from start_sdk.generation import Stop
from start_sdk.testing import FakeInterpreter, check_backend, check_interpreter

if TYPE_CHECKING:
    from start_sdk.backends.transformers import TransformersBackend


async def test_our_interpreter_meets_the_contract() -> None:
    failed = [c for c in await check_interpreter(PythonTool()) if not c.ok]
    assert failed == []


async def test_an_interpreter_that_shares_state_fails() -> None:
    shared: dict[str, Any] = {}

    def run(code: str) -> CellResult:
        if code.startswith("while"):
            return CellResult("timeout", "TimeoutError: too long", 1.0)
        try:
            exec(code, {"print": lambda x: shared.update(out=str(x)), **shared}, shared)
        except NameError as error:
            return CellResult("error", f"NameError: {error}", 0.0)
        return CellResult("ok", shared.pop("out", ""), 0.0)

    failed = {c.name for c in await check_interpreter(FakeInterpreter(run)) if not c.ok}
    assert "kernels share nothing" in failed and "state is kept between cells" not in failed


class Altered:
    """A backend with a fault."""

    def __init__(self, inner: TransformersBackend) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def generate(
        self, prefix_ids: Sequence[int], sampling: Sampling, **kwargs: Any
    ) -> AsyncGenerator[Chunk, None]:
        chunks = self._inner.generate(prefix_ids, sampling, **kwargs)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield self.alter(chunk)

    def alter(self, chunk: Chunk) -> Chunk:
        return chunk


class HandsOutTheMatch(Altered):
    def alter(self, chunk: Chunk) -> Chunk:
        text = chunk.text + "".join(stop.text for stop in chunk.stops)
        stops = tuple(Stop(stop.event) for stop in chunk.stops)
        return replace(
            chunk, token_ids=chunk.token_ids + chunk.withheld_ids, text=text, stops=stops
        )


class GarblesText(Altered):
    def alter(self, chunk: Chunk) -> Chunk:
        return replace(chunk, text=chunk.text.upper() + "!")


@pytest.mark.parametrize(
    ("fault", "names"),
    [(HandsOutTheMatch, "withholds the match"), (GarblesText, "text matches the ids")],
)
async def test_a_backend_with_a_fault_fails(
    fault: type[Altered], names: str, random_backend: TransformersBackend
) -> None:
    altered: Any = fault(random_backend)
    failed = [c.name for c in await check_backend(altered) if not c.ok]
    assert names in failed
