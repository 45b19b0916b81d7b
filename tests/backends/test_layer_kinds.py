"""Models with other layers than full attention, batched, match the library's `generate`."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from families import raw
from generating import prompt, take

from start_sdk.backends.transformers import TransformersBackend


def small(kind: str) -> Any:
    """A model with random weights whose layers do not all use full attention."""
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
async def test_other_layer_kinds_match_the_librarys_generate(kind: str, tmp_path: Path) -> None:
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
            # On the engine's thread, which uses one core: more are slower on a busy machine.
            options = {"max_new_tokens": 40, "do_sample": False, "pad_token_id": 0}
            work = partial(model.generate, torch.tensor([start], device=model.device), **options)
            whole = backend._engine.submit(work).result()
            wanted.append(whole[0, len(start) :].tolist())
        keys = [f"{i}" for i in range(4)]
        found = await asyncio.gather(
            *(take(backend, s, 40, key=k) for s, k in zip(starts, keys, strict=True))
        )
        assert [ids for ids, _ in found] == [
            w[: len(f[0])] for w, f in zip(wanted, found, strict=True)
        ]
        # A session that drops a part of what it sampled continues from the rest.
        for start, key, (ids, _) in zip(starts, keys, found, strict=True):
            cut = start + ids[: len(ids) // 2]
            assert (await take(backend, cut, 6, key=key))[0] == ids[len(ids) // 2 :][:6]
