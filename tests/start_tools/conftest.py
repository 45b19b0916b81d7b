"""Kernels for the tests of the Python tool. Real ones: nothing is faked below the public API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from start_tools.python import PythonTool
from start_tools.python.isolation import trouble

from start_sdk.protocols import Kernel


@pytest.fixture(scope="session", params=["plain", "namespaces"])
def tool(request: pytest.FixtureRequest) -> PythonTool:
    """One that starts fast and warns of nothing, at each level that this machine can have."""
    if problem := trouble(request.param):
        pytest.skip(f"no {request.param} here: {problem}")
    return PythonTool(isolation=request.param, preload=(), warm=1)


@pytest.fixture(scope="session")
def plain() -> PythonTool:
    """For what only kernels without a sandbox do, or only there can be seen from outside."""
    return PythonTool(isolation="plain", preload=())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(tool: PythonTool) -> AsyncIterator[Kernel]:
    """Shared by a module, for tests that leave it as they found it."""
    async with tool.open() as kernel:
        yield kernel


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tool: PythonTool) -> AsyncIterator[Kernel]:
    """A kernel for one test."""
    async with tool.open() as kernel:
        yield kernel


@pytest_asyncio.fixture(loop_scope="module")
async def fresh_plain(plain: PythonTool) -> AsyncIterator[Kernel]:
    """The same without a sandbox: what its cells do can be seen from outside."""
    async with plain.open() as kernel:
        yield kernel


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until something outside this process has come true."""

    async def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "did not come true in 20 s"
            await asyncio.sleep(0.01)

    return until


@pytest.fixture(scope="session")
def alive() -> Callable[[int], bool]:
    """Whether a process runs; one that is dead and waits for its parent does not."""

    def alive(pid: int) -> bool:
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return status.rpartition(") ")[2][0] not in "ZX"

    return alive
