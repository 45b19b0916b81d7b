"""Several backends of one model as one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from start_sdk import Capabilities, Chunk, ConfigError, ReasoningSession, Sampling
from start_sdk.backends import Replicas
from start_sdk.testing import FakeInterpreter, ScriptedBackend, check_backend

SCRIPT = ["```python\nprint(6 * 7)\n```\n", "So it is 42.\n</think>\n\n\\boxed{42}"]


class Counting(ScriptedBackend):
    """Counts the sessions that it has seen, and waits before each generation until it may begin."""

    def __init__(self, script: list[str], gate: asyncio.Barrier | None = None) -> None:
        super().__init__(script)
        self.keys: Counter[str | None] = Counter()
        self.released: list[str] = []
        self.gate = gate

    async def generate(self, *args: Any, **options: Any) -> AsyncGenerator[Chunk, None]:
        self.keys[options.get("key")] += 1
        if self.gate and self.keys[options.get("key")] == 1:
            await self.gate.wait()
        async for chunk in super().generate(*args, **options):
            yield chunk

    async def release(self, key: str) -> None:
        self.released.append(key)
        await super().release(key)


async def test_sessions_are_spread_evenly_and_each_stays_where_its_cache_is() -> None:
    all_have_begun = asyncio.Barrier(9)
    each = [Counting(SCRIPT, all_have_begun) for _ in range(3)]
    session = ReasoningSession(Replicas(each), interpreter=FakeInterpreter({"print(6 * 7)": "42"}))
    traces = await asyncio.gather(*(session.run(f"Question {n}") for n in range(9)))
    assert [len(one.keys) for one in each] == [3, 3, 3]
    assert [trace.answer for trace in traces] == ["42"] * 9
    assert not each[0].keys.keys() & each[1].keys.keys()
    assert min(count for one in each for count in one.keys.values()) > 1  # also after its call
    assert all(sorted(one.released) == sorted(map(str, one.keys)) for one in each)


async def test_generations_without_a_session_are_spread_by_what_is_running() -> None:
    each = [Counting(["a long thought"]) for _ in range(2)]
    both = Replicas(each)

    streams = [both.generate([1], Sampling(), max_tokens=4) for _ in range(4)]
    for stream in streams:  # each begins while those before it are still open
        await anext(stream)
    assert [one.keys.total() for one in each] == [2, 2]
    await streams[0].aclose()
    await streams[2].aclose()  # both were on the first
    await anext(both.generate([1], Sampling(), max_tokens=4))
    assert [one.keys.total() for one in each] == [3, 2]


async def test_together_they_keep_the_contract_and_are_closed_together() -> None:
    each = [Counting([]) for _ in range(2)]
    both = Replicas(each)
    broken = [check.name for check in await check_backend(both) if check.required and not check.ok]
    alone = [
        check.name for check in await check_backend(each[0]) if check.required and not check.ok
    ]
    assert broken == alone
    assert both.capabilities.note.startswith("2 replicas")
    await both.aclose()
    assert [one.closed for one in each] == [True, True]


def test_backends_of_different_models_are_refused() -> None:
    other = ScriptedBackend([])
    other.capabilities = Capabilities(model="other")
    with pytest.raises(ConfigError, match=r"'scripted'.*'other'.* differ"):
        Replicas([ScriptedBackend([]), other])
    with pytest.raises(ConfigError, match="at least one"):
        Replicas([])


@pytest.mark.parametrize("addresses", ["http://a", ["http://a", "http://b"]])
def test_addresses_are_no_backends(addresses: Any) -> None:
    with pytest.raises(ConfigError, match=r"open_backend\(model, servers="):
        Replicas(addresses)
