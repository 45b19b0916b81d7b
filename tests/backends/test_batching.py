"""Many generations in one batch: rows match their results alone, and caches are kept and shared."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from generating import GREEDY, prompt, take

from start_sdk import BackendError, ConfigError, Sampling, models
from start_sdk.backends.transformers import TransformersBackend
from start_sdk.backends.transformers._memory import shared

WARM = Sampling(temperature=1.0, top_p=0.9)


def long_prompt(backend: TransformersBackend, word: str, tokens: int) -> list[int]:
    return backend.tokenizer.encode(f"{word} " * tokens)[:tokens]


async def test_rows_in_a_batch_get_the_tokens_they_get_alone() -> None:
    questions = [f"Find the product of {34 + i} and {5 + 7 * i}." * (1 + i % 3) for i in range(20)]
    async with TransformersBackend(models.BASE) as backend:
        starts = [backend.tokenizer.render([{"role": "user", "content": q}]) for q in questions]
        requests = [(ids, 12 + i, "", [GREEDY, WARM][i % 2]) for i, ids in enumerate(starts)]
        wanted = [await take(backend, *request) for request in requests]
        found = await asyncio.gather(*(take(backend, *request) for request in requests))
        assert [ids for ids, _ in found] == [ids for ids, _ in wanted]


async def test_resumed_rows_only_read_new_tokens(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    splice = random_backend.tokenizer.encode("\n```output\n84\n```\n")

    async def session(i: int, key: str | None) -> tuple[list[int], list[int]]:
        ids, cached = [*start, i], []
        for n in (5 + i, 9, 4 + 2 * i):
            new, last = await take(random_backend, ids, n, "", WARM, key)
            cached.append((last.cached or 0) - len(ids))
            ids = ids + new + list(last.withheld_ids) + splice
        return ids, cached

    alone = [(await session(i, None))[0] for i in range(6)]
    together = await asyncio.gather(*(session(i, f"s{i}") for i in range(6)))
    assert [ids for ids, _ in together] == alone
    # Each resume reads its splice and the last sampled token.
    assert all(cached[1:] == [-len(splice) - 1] * 2 for _, cached in together)


async def test_forks_copy_the_cache_of_a_shared_prefix(
    random_backend: TransformersBackend,
) -> None:
    trunk = long_prompt(random_backend, "think", 600)
    wanted = [await take(random_backend, [*trunk, i], 12, "", WARM) for i in range(5)]
    await random_backend.reset_cache()
    forks = await asyncio.gather(
        *(take(random_backend, [*trunk, i], 12, "", WARM, f"fork{i}") for i in range(5))
    )
    assert [ids for ids, _ in forks] == [ids for ids, _ in wanted]
    assert [last.cached for _, last in forks] == [0] + [600] * 4
    # From a paused session, cropped to the shared prefix.
    _, last = await take(random_backend, [*trunk[:300], 7, 8], 3, key="other")
    assert last.cached == 300


async def test_the_least_recently_used_cache_is_evicted_and_recomputed(random_model: Path) -> None:
    async with TransformersBackend(str(random_model), memory_mib=1) as backend:
        prompts = {key: long_prompt(backend, key, 600) for key in ("one", "two", "three")}
        first = {key: await take(backend, ids, 5, key=key) for key, ids in prompts.items()}
        cached = {}
        for key in ("three", "one"):
            ids = prompts[key] + first[key][0]
            again, last = await take(backend, ids, 8, key=key)
            cached[key] = last.cached
            assert again == (await take(backend, ids, 8))[0]
        assert cached == {"three": 604, "one": 0}


async def test_rows_that_do_not_fit_wait_and_get_the_same_tokens(random_model: Path) -> None:
    async with TransformersBackend(str(random_model)) as backend:
        starts = [long_prompt(backend, word, 700) for word in "abc"]
        wanted = [(await take(backend, s, 110, "", WARM))[0] for s in starts]
    # Not enough for all of them at once.
    async with TransformersBackend(str(random_model), memory_mib=1) as backend:
        found = await asyncio.gather(*(take(backend, s, 110, "", WARM) for s in starts))
        assert [ids for ids, _ in found] == wanted


async def test_a_prefix_that_exceeds_the_memory_is_one_clear_line(random_model: Path) -> None:
    async with TransformersBackend(str(random_model), memory_mib=1, max_context=4000) as backend:
        with pytest.raises(BackendError, match="memory_mib is 1: raise it") as error:
            await take(backend, long_prompt(backend, "x", 3000), 1)
        assert "\n" not in str(error.value)
        assert (await take(backend, prompt(backend), 3))[0]


@pytest.mark.parametrize("wrong", [{"max_batch": 0}, {"memory_mib": 0}])
def test_a_batch_or_memory_below_one_is_rejected(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="=0: must be at least 1"):
        TransformersBackend(models.BASE, **wrong)  # type: ignore[arg-type]


async def test_rows_beyond_max_batch_wait_in_order(random_model: Path) -> None:
    async with TransformersBackend(str(random_model), max_batch=2) as backend:
        ended: list[int] = []

        async def one(i: int) -> None:
            await take(backend, prompt(backend), 20)
            ended.append(i)

        await asyncio.gather(*(one(i) for i in range(6)))
        assert ended == sorted(ended)


async def test_cancelled_rows_do_not_disturb_others(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    wanted, _ = await take(random_backend, start, 60)
    running = [asyncio.create_task(take(random_backend, start, 900)) for _ in range(4)]
    kept = asyncio.create_task(take(random_backend, start, 60))
    async for _ in (first := random_backend.generate(start, GREEDY, max_tokens=900)):
        break  # by now all of them are running
    for task in running:
        task.cancel()
    await first.aclose()
    assert (await kept)[0] == wanted
    assert {type(r) for r in await asyncio.gather(*running, return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_a_failing_forward_pass_reaches_every_caller_and_the_engine_survives(
    random_backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = random_backend._engine._model
    start = prompt(random_backend)
    wanted, _ = await take(random_backend, start, 10, key="a")
    forward = model.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) == 5:  # all of them are running
            raise ValueError("the matrix is upside down")
        return forward(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", failing)
        rows = [take(random_backend, [*start, i], 900, key=f"k{i}") for i in range(5)]
        results = await asyncio.gather(*rows, return_exceptions=True)
    assert [str(r) for r in results if isinstance(r, BackendError)] == [
        f"{random_backend.capabilities.model}: the matrix is upside down"
    ] * 5
    assert (await take(random_backend, start, 10, key="a"))[0] == wanted


async def test_closing_the_backend_ends_running_rows_with_an_error(
    random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = TransformersBackend(str(random_model))
    model: Any = backend._engine._model
    forward, steps, together = model.forward, threading.Semaphore(8), threading.Event()

    def paced(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) == 3:
            together.set()
        steps.acquire()
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", paced)
    start = prompt(backend)
    rows = [asyncio.create_task(take(backend, start, 900)) for _ in range(3)]
    assert await asyncio.to_thread(together.wait, 60)
    closing = asyncio.create_task(backend.aclose())
    while not closing.done():  # a step at a time, so that no row ends by itself
        steps.release()
        await asyncio.wait([closing], timeout=0.05)
    for row in rows:
        with pytest.raises(BackendError, match="closed"):
            await row


async def test_a_closed_event_loop_does_not_stop_the_engine(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    wanted, _ = await take(random_backend, start, 60)
    abandoned: list[Any] = []

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        abandoned.append(random_backend.generate(start, GREEDY, max_tokens=900))
        loop.run_until_complete(anext(abandoned[0]))
        loop.close()  # without closing the generation

    await asyncio.to_thread(elsewhere)
    assert (await take(random_backend, start, 60))[0] == wanted


async def test_deterministic_rows_are_bit_identical_whatever_else_runs(
    random_model: Path,
) -> None:
    sampling = Sampling(temperature=1.0, logprobs=True)

    async def run(backend: TransformersBackend, start: Sequence[int], key: str) -> list[Any]:
        seen: list[Any] = []
        ids = list(start)
        for _ in range(2):
            async for chunk in backend.generate(ids, sampling, max_tokens=12, key=key):
                seen += [*zip(chunk.token_ids, chunk.logprobs or (), strict=True)]
                ids += chunk.token_ids
        return seen

    async with TransformersBackend(str(random_model), deterministic=True) as backend:
        starts = [[*prompt(backend), *range(40 + i)] for i in range(3)]
        alone = [await run(backend, start, f"a{i}") for i, start in enumerate(starts)]
        others = [run(backend, [*starts[0][:50], i], f"o{i}") for i in range(20)]
        mine = [run(backend, start, f"b{i}") for i, start in enumerate(starts)]
        found = (await asyncio.gather(*others, *mine))[-3:]
        assert found == alone
        assert backend.capabilities.note.endswith("deterministic")


async def test_memory_stays_flat_over_many_sessions(random_backend: TransformersBackend) -> None:
    def live_tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    async def session(i: int) -> None:
        await take(random_backend, [*start, i % 400], 3, key=f"{i}")
        await take(random_backend, [*start, i % 400, 5, 6], 3, key=f"{i}")
        await random_backend.release(f"{i}")

    start = prompt(random_backend)
    await asyncio.gather(*(session(i) for i in range(20)))
    await take(random_backend, start, 1)
    before = live_tensors()
    for first in range(0, 300, 50):
        await asyncio.gather(*(session(i) for i in range(first, first + 50)))
    await take(random_backend, start, 1)
    assert live_tensors() <= before + 20


def test_the_common_prefix_of_two_lists_is_found() -> None:
    a = list(range(100))
    for n in (0, 1, 2, 37, 99, 100):
        assert shared(a, [*a[:n], -1, *a[n:]], 1000) == n
    assert shared(a, a, 60) == 60
    assert shared([], a, 5) == 0


async def test_short_rows_are_not_padded_to_the_length_of_a_long_one(
    random_backend: TransformersBackend,
) -> None:
    model: Any = random_backend._engine._model
    read: list[int] = []

    def count(_: Any, __: Any, inputs: dict[str, Any]) -> None:
        rows, columns = len(inputs["input_ids"]), inputs["past_key_values"].get_seq_length()
        read.append(rows * columns if rows > 1 else 0)

    longest = long_prompt(random_backend, "long", 460)
    shorts = [[*prompt(random_backend), i] for i in range(31)]
    starts = [*shorts[:1], longest, *shorts[1:]]  # it is in the batch while there are few
    requests = [(start, 24 + i % 5) for i, start in enumerate(starts)]
    alone = [await take(random_backend, *request) for request in requests]
    hook = model.register_forward_pre_hook(count, with_kwargs=True)
    found = await asyncio.gather(*(take(random_backend, *request) for request in requests))
    hook.remove()
    assert [ids for ids, _ in found] == [ids for ids, _ in alone]
    assert 0 < max(read) < 31 * 250
