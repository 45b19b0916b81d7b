"""Many generations in one batch: each is what it would be alone, and caches go where they should."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from families import raw
from generating import GREEDY, prompt, take

from start_sdk import BackendError, ConfigError, Sampling, models
from start_sdk.backends.transformers import TransformersBackend
from start_sdk.backends.transformers._memory import shared

WARM = Sampling(temperature=1.0, top_p=0.9)


def long_prompt(backend: TransformersBackend, word: str, tokens: int) -> list[int]:
    return backend.tokenizer.encode(f"{word} " * tokens)[:tokens]


async def test_a_batch_gives_the_tokens_that_each_row_gives_alone() -> None:
    questions = [f"Find the product of {34 + i} and {5 + 7 * i}." * (1 + i % 3) for i in range(20)]
    async with TransformersBackend(models.BASE) as backend:
        starts = [backend.tokenizer.render([{"role": "user", "content": q}]) for q in questions]
        wishes = [(ids, 12 + i, (), [GREEDY, WARM][i % 2]) for i, ids in enumerate(starts)]
        wanted = [await take(backend, *wish) for wish in wishes]
        found = await asyncio.gather(*(take(backend, *wish) for wish in wishes))
        assert [ids for ids, _ in found] == [ids for ids, _ in wanted]


async def test_rows_that_pause_and_come_back_read_what_is_new_only(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    splice = random_backend.tokenizer.encode("\n```output\n84\n```\n")

    async def session(i: int, key: str | None) -> tuple[list[int], list[int]]:
        ids, cached = [*start, i], []
        for n in (5 + i, 9, 4 + 2 * i):
            new, last = await take(random_backend, ids, n, (), WARM, key)
            cached.append((last.cached or 0) - len(ids))
            ids = ids + new + list(last.matched_ids) + splice
        return ids, cached

    alone = [(await session(i, None))[0] for i in range(6)]
    together = await asyncio.gather(*(session(i, f"s{i}") for i in range(6)))
    assert [ids for ids, _ in together] == alone
    # Each resume reads its splice and the token that was sampled last.
    assert all(cached[1:] == [-len(splice) - 1] * 2 for _, cached in together)


async def test_forks_copy_what_they_share_with_another_session(
    random_backend: TransformersBackend,
) -> None:
    trunk = long_prompt(random_backend, "think", 600)
    wanted = [await take(random_backend, [*trunk, i], 12, (), WARM) for i in range(5)]
    await random_backend.reset_cache()
    forks = await asyncio.gather(
        *(take(random_backend, [*trunk, i], 12, (), WARM, f"fork{i}") for i in range(5))
    )
    assert [ids for ids, _ in forks] == [ids for ids, _ in wanted]
    assert [last.cached for _, last in forks] == [0] + [600] * 4
    # From a session that pauses, cut back to what is shared.
    _, last = await take(random_backend, [*trunk[:300], 7, 8], 3, key="other")
    assert last.cached == 300


async def test_the_oldest_idle_session_goes_first_and_is_read_again(random_model: Path) -> None:
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


async def test_more_than_fits_waits_and_is_computed_all_the_same(random_model: Path) -> None:
    async with TransformersBackend(str(random_model)) as backend:
        starts = [long_prompt(backend, word, 700) for word in "abc"]
        wanted = [(await take(backend, s, 110, (), WARM))[0] for s in starts]
    # Room for two rows as they begin, and for one as it ends.
    async with TransformersBackend(str(random_model), memory_mib=1) as backend:
        found = await asyncio.gather(*(take(backend, s, 110, (), WARM) for s in starts))
        assert [ids for ids, _ in found] == wanted


async def test_a_prefix_that_the_memory_cannot_hold_is_one_clear_line(random_model: Path) -> None:
    async with TransformersBackend(str(random_model), memory_mib=1, max_context=4000) as backend:
        with pytest.raises(BackendError, match="memory_mib is 1: give it more") as error:
            await take(backend, long_prompt(backend, "x", 3000), 1)
        assert "\n" not in str(error.value)
        assert (await take(backend, prompt(backend), 3))[0]


@pytest.mark.parametrize("wrong", [{"max_batch": 0}, {"memory_mib": 0}])
def test_a_batch_or_a_memory_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="=0: give at least 1"):
        TransformersBackend(models.BASE, **wrong)  # type: ignore[arg-type]


async def test_rows_beyond_the_batch_wait_their_turn(random_model: Path) -> None:
    async with TransformersBackend(str(random_model), max_batch=2) as backend:
        ended: list[int] = []

        async def one(i: int) -> None:
            await take(backend, prompt(backend), 20)
            ended.append(i)

        await asyncio.gather(*(one(i) for i in range(6)))
        assert ended == sorted(ended)


async def test_what_is_cancelled_leaves_the_others_alone(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    wanted, _ = await take(random_backend, start, 60)
    running = [asyncio.create_task(take(random_backend, start, 900)) for _ in range(4)]
    kept = asyncio.create_task(take(random_backend, start, 60))
    async for _ in (first := random_backend.generate(start, GREEDY, max_tokens=900)):
        break  # by now all of them run
    for task in running:
        task.cancel()
    await first.aclose()
    assert (await kept)[0] == wanted
    assert {type(r) for r in await asyncio.gather(*running, return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_an_engine_that_fails_tells_everyone_and_works_on(
    random_backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = random_backend._engine._model
    start = prompt(random_backend)
    wanted, _ = await take(random_backend, start, 10, key="a")
    forward = model.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) == 5:  # all of them run
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


async def test_closing_the_backend_ends_what_runs_with_an_error(
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
    while not closing.done():  # a step at a time, so that nobody comes to an end by itself
        steps.release()
        await asyncio.wait([closing], timeout=0.05)
    for row in rows:
        with pytest.raises(BackendError, match="closed"):
            await row


async def test_a_loop_that_ended_does_not_stop_the_engine(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    wanted, _ = await take(random_backend, start, 60)
    abandoned: list[Any] = []

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        abandoned.append(random_backend.generate(start, GREEDY, max_tokens=900))
        loop.run_until_complete(anext(abandoned[0]))
        loop.close()  # and nobody closes the generation

    await asyncio.to_thread(elsewhere)
    assert (await take(random_backend, start, 60))[0] == wanted


async def test_deterministic_rows_are_equal_bit_for_bit_whatever_runs_beside(
    random_model: Path,
) -> None:
    asked = Sampling(temperature=1.0, logprobs=True)

    async def run(backend: TransformersBackend, start: Sequence[int], key: str) -> list[Any]:
        seen: list[Any] = []
        ids = list(start)
        for _ in range(2):
            async for chunk in backend.generate(ids, asked, max_tokens=12, key=key):
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
    def held() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    async def session(i: int) -> None:
        await take(random_backend, [*start, i % 400], 3, key=f"{i}")
        await take(random_backend, [*start, i % 400, 5, 6], 3, key=f"{i}")
        await random_backend.release(f"{i}")

    start = prompt(random_backend)
    await asyncio.gather(*(session(i) for i in range(20)))
    await take(random_backend, start, 1)
    before = held()
    for first in range(0, 300, 50):
        await asyncio.gather(*(session(i) for i in range(first, first + 50)))
    await take(random_backend, start, 1)
    assert held() <= before + 20


def small(kind: str) -> Any:
    """A model of random weights whose layers do not all attend to everything."""
    import transformers as t

    size = {
        "vocab_size": len(raw("qwen3")),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": raw("qwen3").eos_token_id,
    }
    mixed = ["sliding_attention", "full_attention"] * 2
    configs: dict[str, Any] = {
        "mistral": lambda: t.MistralConfig(**size, sliding_window=16),
        "gemma3": lambda: t.Gemma3TextConfig(**size, sliding_window=16, layer_types=mixed),
        "lfm2": lambda: t.Lfm2Config(
            **size, layer_types=["conv", "full_attention"] * 2
        ),
        "gpt2": lambda: t.GPT2Config(
            vocab_size=size["vocab_size"], n_embd=32, n_layer=2, n_head=2, n_positions=512,
            eos_token_id=size["eos_token_id"], bos_token_id=None, initializer_range=0.3,
        ),
    }  # fmt: skip
    return configs[kind]()


@pytest.mark.parametrize("kind", ["mistral", "gemma3", "lfm2", "gpt2"])
async def test_other_kinds_of_layers_give_the_tokens_of_the_librarys_generate(
    kind: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    auto: Any = AutoModelForCausalLM
    auto.from_config(small(kind)).save_pretrained(tmp_path)
    raw("qwen3").save_pretrained(tmp_path)
    async with TransformersBackend(str(tmp_path)) as backend:
        starts = [prompt(backend) + list(range(30, 30 + 9 * i)) for i in range(4)]
        model: Any = backend._engine._model
        wanted = []
        for start in starts:
            # On the engine's thread, which computes on one core: on a busy machine more are slower.
            wishes = {"max_new_tokens": 40, "do_sample": False, "pad_token_id": 0}
            work = partial(model.generate, torch.tensor([start]), **wishes)
            whole = backend._engine.submit(work).result()
            wanted.append(whole[0, len(start) :].tolist())
        keys = [f"{i}" for i in range(4)]
        found = await asyncio.gather(
            *(take(backend, s, 40, key=k) for s, k in zip(starts, keys, strict=True))
        )
        assert [ids for ids, _ in found] == [
            w[: len(f[0])] for w, f in zip(wanted, found, strict=True)
        ]
        # A session that drops a part of what it sampled goes on from what is left.
        for start, key, (ids, _) in zip(starts, keys, found, strict=True):
            cut = start + ids[: len(ids) // 2]
            assert (await take(backend, cut, 6, key=key))[0] == ids[len(ids) // 2 :][:6]


def test_the_shared_beginning_of_two_lists_is_found() -> None:
    a = list(range(100))
    for n in (0, 1, 2, 37, 99, 100):
        assert shared(a, [*a[:n], -1, *a[n:]], 1000) == n
    assert shared(a, a, 60) == 60
    assert shared([], a, 5) == 0
