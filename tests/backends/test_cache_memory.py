"""What the caches take of memory, what happens when there is less, and rows that turn into NaN."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from generating import prompt, take

from start_sdk import BackendError, Sampling
from start_sdk.backends.transformers import TransformersBackend

MIB = 2**20
WARM = Sampling(temperature=1.0)
Allocated = Callable[[torch.Tensor], None]


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def ids(start: int, length: int) -> list[int]:
    """A prefix that no other shares."""
    return [100 + (start + 7 * i) % 300 for i in range(length)]


async def session(backend: TransformersBackend, number: int, length: int, tokens: int) -> list[int]:
    """Generates in two parts, with a splice between them, as after a call."""
    prefix, key = ids(number, length), f"s{number}"
    first, last = await take(backend, prefix, tokens, "", WARM, key)
    prefix += [*first, *last.withheld_ids, 101, 102]
    return first + (await take(backend, prefix, tokens, "", WARM, key))[0]


def on_allocation(monkeypatch: pytest.MonkeyPatch, allocated: Allocated) -> None:
    """Calls a function with each tensor of a cache, which may raise in place of the allocation."""
    for name in ("new_empty", "new_zeros"):
        allocate = getattr(torch.Tensor, name)

        def noted(like: Any, shape: Any, *args: Any, allocate: Any = allocate) -> Any:
            made = allocate(like, shape, *args)
            if len(shape) == 4:
                allocated(made)
            return made

        monkeypatch.setattr(torch.Tensor, name, noted)


@pytest.fixture
def peak(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Returns how many bytes the caches have held at most so far."""
    held, most = 0, 0

    def freed(size: int) -> None:
        nonlocal held
        held -= size

    def count(tensor: torch.Tensor) -> None:
        nonlocal held, most
        held += tensor.nbytes
        most = max(most, held)
        weakref.finalize(tensor, freed, tensor.nbytes)

    on_allocation(monkeypatch, count)
    return lambda: most


@pytest.mark.parametrize(
    "sessions",
    [
        slow([(100, 60)] * 8),
        [(30 + 90 * i, 40) for i in range(8)],
        slow([(600, 150)] + [(50, 40)] * 4),
    ],
)
async def test_caches_never_hold_more_than_their_limit(
    random_model: Path, peak: Callable[[], int], sessions: list[tuple[int, int]]
) -> None:
    async with TransformersBackend(str(random_model), memory_mib=1) as backend:
        await asyncio.gather(*(session(backend, i, *s) for i, s in enumerate(sessions)))

    assert 0.5 * MIB < peak() <= MIB


async def test_rows_get_the_same_tokens_when_memory_is_short(random_model: Path) -> None:
    sessions = [(30 + 90 * i, 30) for i in range(6)]
    found = []
    for memory in (100, 1):
        async with TransformersBackend(str(random_model), memory_mib=memory) as backend:
            found.append(
                await asyncio.gather(*(session(backend, i, *s) for i, s in enumerate(sessions)))
            )

    assert found[0] == found[1]


def out_of_memory(text: str) -> Exception:
    return torch.OutOfMemoryError(text) if "CUDA" in text else RuntimeError(text)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (2, "CUDA out of memory. Tried to allocate 2.00 GiB."),
        (3, "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        slow(2, "MPS backend out of memory (MPS allocated: 18.00 GB)"),
        slow(3, "not enough memory: you tried to allocate 1073741824 bytes."),
    ],
)
async def test_rows_for_which_the_batch_cannot_grow_wait_for_the_others(
    random_model: Path, monkeypatch: pytest.MonkeyPatch, rows: int, text: str
) -> None:
    def refuse(tensor: torch.Tensor) -> None:
        if tensor.shape[0] > rows or (tensor.shape[0] == rows and tensor.shape[2] > 200):
            raise out_of_memory(text)

    async with TransformersBackend(str(random_model)) as backend:
        wanted = [await session(backend, i, 20 + 30 * i, 30) for i in range(5)]
        await backend.reset_cache()
        on_allocation(monkeypatch, refuse)
        found = await asyncio.gather(*(session(backend, i, 20 + 30 * i, 30) for i in range(5)))

    assert found == wanted


@pytest.mark.parametrize("deterministic", [False, slow(True)])
async def test_a_row_that_alone_gets_no_memory_fails_alone(
    random_model: Path, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    def refuse(tensor: torch.Tensor) -> None:
        if tensor.shape[2] > 500:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    backend = TransformersBackend(str(random_model), deterministic=deterministic)
    async with backend:
        wanted = [await session(backend, i, 50, 40) for i in range(3)]
        await backend.reset_cache()
        on_allocation(monkeypatch, refuse)
        long = asyncio.create_task(session(backend, 9, 300, 200))
        found = await asyncio.gather(*(session(backend, i, 50, 40) for i in range(3)))
        with pytest.raises(BackendError, match="CUDA out of memory"):
            await long

    assert found == wanted


async def test_caches_of_paused_sessions_are_given_up_first(
    random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def refuse_once(tensor: torch.Tensor) -> None:
        nonlocal refused
        if not refused:
            refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")

    async with TransformersBackend(str(random_model)) as backend:
        wanted, _ = await take(backend, ids(2, 60), 20)
        first, last = await take(backend, ids(1, 60), 5, key="paused")
        on_allocation(monkeypatch, refuse_once)
        assert (await take(backend, ids(2, 60), 20))[0] == wanted
        _, last = await take(backend, ids(1, 60) + first, 5, key="paused")

    assert (refused, last.cached) == (1, 0)


def break_one(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Any], None]
) -> None:
    """Breaks one row's logits, and its cache, once four rows run."""
    model: Any = backend._engine._model
    forward, done = model.forward, False

    def breaking(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        out = forward(*args, **kwargs)
        if len(kwargs["input_ids"]) == 4 and not done:
            done = True
            broken(out.logits[1])
            for layer in kwargs["past_key_values"].layers:
                layer.values[1] = torch.nan
        return out

    monkeypatch.setattr(model, "forward", breaking)


def nan_somewhere(logits: Any) -> None:
    logits[..., 7] = torch.nan


@pytest.mark.parametrize(
    ("broken", "sampling"),
    [
        (nan_somewhere, WARM),
        (nan_somewhere, Sampling(temperature=0, logprobs=True)),
        (lambda logits: logits.fill_(torch.nan), WARM),
        (lambda logits: logits.fill_(torch.inf), WARM),
        (lambda logits: logits.fill_(-torch.inf), WARM),
    ],
    ids=["one NaN", "greedy", "NaN", "inf", "-inf"],
)
async def test_logits_that_are_not_finite_fail_their_own_row(
    random_backend: TransformersBackend,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[Any], None],
    sampling: Sampling,
) -> None:
    async def generate(number: int) -> list[int]:
        return (await take(random_backend, ids(number, 30 + 9 * number), 40, "", sampling))[0]

    wanted = [await generate(i) for i in range(4)]
    break_one(random_backend, monkeypatch, broken)
    found = await asyncio.gather(*(generate(i) for i in range(4)), return_exceptions=True)

    (error,) = [row for row in found if isinstance(row, BaseException)]
    assert isinstance(error, BackendError) and "\n" not in str(error)
    assert "the model's logits are not finite" in str(error)
    assert [row for row in found if row is not error] == [
        row for row, other in zip(wanted, found, strict=True) if other is not error
    ]


async def test_what_is_not_finite_is_not_left_to_a_later_row(
    random_backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def generate(number: int, tokens: int) -> list[int]:
        return (await take(random_backend, ids(number, 90 - 20 * number), tokens, "", WARM))[0]

    wanted = await generate(4, 40)
    break_one(random_backend, monkeypatch, lambda logits: logits.fill_(torch.nan))
    rows = [asyncio.create_task(generate(i, 200)) for i in range(4)]
    await asyncio.wait(
        rows, return_when=asyncio.FIRST_COMPLETED
    )  # one has failed: its slot is free

    assert await generate(4, 40) == wanted
    await asyncio.wait(rows)
    assert sum(isinstance(row.exception(), BackendError) for row in rows) == 1


async def test_a_prefix_whose_logits_are_not_finite_fails(
    random_backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = random_backend._engine._model
    forward = model.forward

    def broken(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        out.logits.fill_(torch.nan)
        return out

    wanted, _ = await take(random_backend, prompt(random_backend), 5)
    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", broken)
        with pytest.raises(BackendError, match="not finite"):
            await take(random_backend, prompt(random_backend), 5, key="a")
    assert (await take(random_backend, prompt(random_backend), 5, key="a"))[0] == wanted
