"""The transformers backend on a small model with random weights: exact, cached, cancellable."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from generating import GREEDY, prompt, take
from transformers import AutoModelForCausalLM, AutoTokenizer

from start_sdk import (
    AfterConnective,
    BackendError,
    ConfigError,
    ModelError,
    PluginError,
    ReasoningSession,
    Sampling,
    open_backend,
    verify_trace,
)
from start_sdk.backends.transformers import Loaded, TransformersBackend
from start_sdk.backends.transformers._sampler import draw, uniform
from start_sdk.testing import FakeInterpreter, check_backend


async def test_it_meets_the_backend_contract(random_backend: TransformersBackend) -> None:
    failed = [c for c in await check_backend(random_backend) if not c.ok]
    assert failed == []


async def test_greedy_tokens_equal_those_of_the_librarys_generate(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    ids, _ = await take(random_backend, start, 60)
    model = random_backend._engine._model
    whole = model.generate(
        torch.tensor([start], device=model.device),
        max_new_tokens=60,
        do_sample=False,
        pad_token_id=0,
    )
    assert ids == whole[0, len(start) :].tolist()[: len(ids)]
    assert len(ids) >= 40


async def test_a_splice_only_feeds_its_own_tokens_and_changes_nothing(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    first, last = await take(random_backend, start, 30, key="a")
    assert last.cached == 0
    prefix = start + first + random_backend.tokenizer.encode("\n```output\n84\n```\n")
    kept, last = await take(random_backend, prefix, 30, key="a")
    assert last.cached == len(start) + len(first) - 1  # the last sampled token was never fed
    await random_backend.reset_cache()
    again, last = await take(random_backend, prefix, 30, key="b")
    assert last.cached == 0 and kept == again


async def test_dropped_tokens_are_cropped_from_the_cache(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    first, _ = await take(random_backend, start, 30, key="a")
    prefix = start + first[:12] + random_backend.tokenizer.encode("Wait")
    kept, last = await take(random_backend, prefix, 30, key="a")
    assert last.cached == len(start) + 12
    assert kept == (await take(random_backend, prefix, 30))[0]


async def test_a_released_session_is_recomputed(random_backend: TransformersBackend) -> None:
    start = prompt(random_backend)
    first, _ = await take(random_backend, start, 10, key="a")
    assert (await take(random_backend, start + first, 5, key="a"))[1].cached
    await random_backend.release("a")
    assert (await take(random_backend, start + first, 5, key="a"))[1].cached == 0


async def test_the_noise_of_a_token_depends_only_on_seed_and_position(
    random_backend: TransformersBackend,
) -> None:
    start = prompt(random_backend)
    hot = Sampling(temperature=1.0, seed=3)
    whole, _ = await take(random_backend, start, 40, sampling=hot)
    part, _ = await take(random_backend, start + whole[:17], 23, sampling=hot)
    assert whole[17:] == part
    other, _ = await take(random_backend, start, 40, sampling=Sampling(temperature=1.0, seed=4))
    assert other != whole


def test_draws_follow_the_distribution_and_top_p() -> None:
    n = 3000
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3])).expand(n, -1)
    contexts = [range(i) for i in range(n)]
    tokens, _ = draw(logits, [Sampling(temperature=1, top_p=1, seed=1)] * n, contexts)
    assert [round(tokens.count(i) / n, 1) for i in range(3)] == [0.1, 0.6, 0.3]
    every = Sampling(temperature=1, top_p=1, seed=1)
    for some in ({"top_p": 0.7}, {"top_k": 2}, {"min_p": 0.4}, {"top_k": 3, "min_p": 0.4}):
        sampling = every.model_copy(update=some)
        tokens, _ = draw(logits, [sampling] * n, contexts)
        assert [round(tokens.count(i) / n, 1) for i in range(3)] == [0.0, 0.7, 0.3]
    for certain in (Sampling(temperature=1, top_k=1), Sampling(temperature=1e-300, top_p=1)):
        tokens, _ = draw(logits, [certain] * n, contexts)
        assert set(tokens) == {1}
    tokens, _ = draw(logits, [Sampling(temperature=1, top_k=1)] * n, contexts)
    assert set(tokens) == {1}
    assert {uniform(1, 1), uniform(1, 2), uniform(2, 1)}.__len__() == 3


def test_a_draw_does_not_depend_on_other_rows() -> None:
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    samplings = [
        Sampling(temperature=0, logprobs=True),
        Sampling(temperature=1.0, top_p=1.0, seed=3),
        Sampling(temperature=0.6, top_p=0.9, seed=4, logprobs=True),
        Sampling(temperature=0),
    ]
    contexts = [range(5 + i) for i in range(4)]
    tokens, logprobs = draw(logits, samplings, contexts)
    alone = [draw(logits[i : i + 1], [samplings[i]], [contexts[i]]) for i in range(4)]
    assert [tokens, logprobs] == [
        [t for ts, _ in alone for t in ts],
        [p for _, ps in alone for p in ps],
    ]
    assert tokens[0] == int(logits[0].argmax())
    assert logprobs[0] == pytest.approx(float(logits[0].log_softmax(0).max()))
    assert logprobs[1] == logprobs[3] == 0.0


def test_a_penalty_makes_what_was_written_less_likely() -> None:
    logits = torch.tensor([[2.0, 1.5, -1.0], [2.0, 1.5, -1.0]])
    greedy = Sampling(temperature=0, logprobs=True)
    penalised = greedy.model_copy(update={"repetition_penalty": 1.5})
    tokens, logprobs = draw(logits, [penalised, greedy], [[0, 0, 2], [0, 0, 2]])
    assert tokens == [1, 0]
    assert logprobs == pytest.approx([float(logits[0].log_softmax(0)[t]) for t in tokens])


async def test_every_token_has_a_log_probability(random_backend: TransformersBackend) -> None:
    sampling = Sampling(temperature=0, logprobs=True)
    session = ReasoningSession(random_backend, sampling=sampling)
    trace = await session.run("What is 12 * 7?")
    verify_trace(trace, random_backend.tokenizer)
    for segment in trace.segments:
        assert (segment.logprobs is not None) == (segment.source == "model")
        assert all(p <= 0 for p in segment.logprobs or ())


async def test_the_event_loop_never_waits_for_a_forward_pass(
    random_backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = random_backend._engine._model
    forward, begun, beaten = model.forward, threading.Event(), threading.Event()

    def waiting(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert beaten.wait(60), "the event loop waits for this forward pass"
        return forward(*args, **kwargs)

    async def heart() -> None:
        await asyncio.to_thread(begun.wait, 60)
        beaten.set()

    monkeypatch.setattr(model, "forward", waiting)
    start = prompt(random_backend)
    await asyncio.gather(heart(), *(take(random_backend, start * 10, 100) for _ in range(3)))


async def test_closing_the_iterator_stops_the_work(
    random_backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = random_backend._engine._model
    forward, passes = model.forward, []

    def counted(*args: Any, **kwargs: Any) -> Any:
        passes.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", counted)
    start = prompt(random_backend)
    long = random_backend.generate(start, GREEDY, max_tokens=900, key="long")
    async for _ in long:
        break
    await long.aclose()
    await take(random_backend, start, 1)  # waits until the engine has handled the close
    before = len(passes)
    await take(random_backend, start, 1)
    assert len(passes) == before + 1


async def test_sessions_with_hints_and_calls_verify_on_a_real_model(
    random_backend: TransformersBackend,
) -> None:
    # Random weights never close a block, but a policy that fires at frequent characters, and so
    # stops the model often, still exercises the splice.
    hints = AfterConnective(words=(" ", "."), probability=0.5, max_hints=5)
    session = ReasoningSession(random_backend, interpreter=FakeInterpreter(), hints=hints)
    traces = [await session.run("What is 12 * 7?", seed=seed) for seed in range(3)]
    for trace in traces:
        verify_trace(trace, random_backend.tokenizer)
    assert any(t.hints for t in traces)
    assert len({t.id for t in traces}) == 3


@pytest.mark.parametrize("model", ["", "no-such-model", "some/where-else"])
def test_an_unknown_model_is_one_clear_line(model: str) -> None:
    with pytest.raises(ModelError) as error:
        open_backend(model)
    assert "\n" not in str(error.value) and "start-tiny-base" in str(error.value)


def test_a_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="config\\.json"):
        open_backend(str(tmp_path))


def test_a_broken_model_is_reported(random_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(random_model, tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_backend(str(folder))


def test_an_unknown_dtype_is_reported(random_model: Path) -> None:
    with pytest.raises(ModelError, match="not a torch dtype"):
        open_backend(str(random_model), dtype="float31")


async def test_a_model_without_chat_template_is_reported(
    random_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(random_model, tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    async with TransformersBackend(str(folder)) as backend:
        with pytest.raises(ModelError, match="chat template"):
            await ReasoningSession(backend).run("?")


def test_an_unknown_backend_is_reported() -> None:
    with pytest.raises(PluginError, match=r"installed: .*transformers"):
        open_backend("x", "no-such-engine")


async def test_a_closed_backend_says_so(random_model: Path) -> None:
    backend = TransformersBackend(str(random_model))
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(BackendError, match="closed"):
        await take(backend, [1, 2], 1)


async def test_exceeding_the_context_is_an_error_and_not_a_crash(
    random_backend: TransformersBackend,
) -> None:
    with pytest.raises(BackendError, match="do not fit"):
        await take(random_backend, [1] * 1000, 100)
    assert (await take(random_backend, prompt(random_backend), 3))[0]


async def test_the_generation_configs_end_tokens_count(random_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(random_model, tmp_path / "two-ends")
    path = folder / "generation_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "eos_token_id": [5, 6]}), encoding="utf-8")
    async with TransformersBackend(str(folder)) as backend:
        assert {5, 6} < backend.tokenizer.eos_ids


async def test_a_small_model_uses_one_thread_and_leaves_other_threads_alone(
    random_model: Path,
) -> None:
    before = torch.get_num_threads()
    async with TransformersBackend(str(random_model), device="cpu") as backend:
        assert backend._engine.submit(torch.get_num_threads).result(timeout=60) == 1
        assert torch.get_num_threads() == before
        assert await asyncio.to_thread(torch.get_num_threads) == before


async def test_capabilities_name_device_and_dtype(random_model: Path) -> None:
    async with TransformersBackend(str(random_model), device="cpu") as backend:
        assert backend.capabilities.note == "cpu, float32"


async def test_a_loaded_model_is_used_as_is_with_its_current_weights(
    random_model: Path, random_backend: TransformersBackend
) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(random_model)
    loaded = Loaded(model.eval(), AutoTokenizer.from_pretrained(random_model))
    async with TransformersBackend(loaded) as backend:
        start = prompt(backend)
        before, _ = await take(backend, start, 20, key="a")
        assert before == (await take(random_backend, start, 20))[0]
        assert backend.capabilities.model == str(random_model)
        with torch.no_grad():  # as a training step does
            for weights in model.parameters():
                weights.mul_(-1.5)
        await backend.reset_cache()
        after, last = await take(backend, start, 20, key="a")
        assert last.cached == 0
        whole = model.generate(
            torch.tensor([start], device=model.device),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )
        assert after == whole[0, len(start) :].tolist()[: len(after)] != before
    with pytest.raises(ConfigError, match="cannot be set for a model that is already loaded"):
        TransformersBackend(loaded, dtype="bfloat16")
