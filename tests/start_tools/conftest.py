"""Kernels for the tests of the Python tool. They are real: nothing is faked below the public API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import start_tools.python.kernel
from start_tools.python import PythonTool
from start_tools.python.isolation import trouble

from start_sdk.protocols import Kernel


@pytest.fixture(scope="session", params=["plain", "namespaces"])
def tool(request: pytest.FixtureRequest) -> PythonTool:
    """A tool that starts fast and does not warn, at each level that this machine supports."""
    if problem := trouble(request.param):
        pytest.skip(f"no {request.param} here: {problem}")
    return PythonTool(isolation=request.param, preload=(), warm=1)


@pytest.fixture(scope="session")
def plain() -> PythonTool:
    """For behaviour that exists, or can be observed from outside, only without a sandbox."""
    return PythonTool(isolation="plain", preload=())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(tool: PythonTool) -> AsyncIterator[Kernel]:
    """Shared by a module, for tests that leave no state behind."""
    async with tool.open() as kernel:
        yield kernel


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tool: PythonTool) -> AsyncIterator[Kernel]:
    """A kernel for one test."""
    async with tool.open() as kernel:
        yield kernel


@pytest_asyncio.fixture(loop_scope="module")
async def fresh_plain(plain: PythonTool) -> AsyncIterator[Kernel]:
    """The same without a sandbox, so that its cells can be observed from outside."""
    async with plain.open() as kernel:
        yield kernel


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may deliver an interrupt late."""
    monkeypatch.setattr(start_tools.python.kernel, "INTERRUPT_GRACE", 8)


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until a condition outside this process is true."""

    async def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "the condition was not true after 20 s"
            await asyncio.sleep(0.01)

    return until


@pytest.fixture(scope="session")
def alive() -> Callable[[int], bool]:
    """Whether a process is running; a zombie is not."""

    def alive(pid: int) -> bool:
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return status.rpartition(") ")[2][0] not in "ZX"

    return alive
