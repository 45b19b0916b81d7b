"""Attention of one new token per row gives what torch's `scaled_dot_product_attention` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from generating import prompt, take

from start_sdk.backends.transformers import TransformersBackend
from start_sdk.backends.transformers._attention import NAME, decode_attention

Shape = tuple[int, int, int, int]


def reference(query: Any, key: Any, value: Any, mask: Any, scaling: float | None) -> Any:
    """Each query beside its own copy of the keys, in float64."""
    shared = query.shape[1] // key.shape[1]
    key, value = (x.double().repeat_interleave(shared, 1) for x in (key, value))
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    scores = query.double() @ key.transpose(2, 3) * scale
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize(
    ("query", "key"),
    [((3, 6, 1, 8), (3, 2, 11, 8)), ((1, 4, 1, 8), (1, 4, 5, 8)), ((2, 4, 3, 8), (2, 1, 7, 8))],
    ids=["grouped", "alone", "several new tokens"],
)
def test_it_is_attention(query: Shape, key: Shape, scaling: float | None, dtype: str) -> None:
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    q, k, v = (torch.randn(shape).to(kind) for shape in (query, key, key))
    mask = torch.rand(query[0], 1, query[2], key[2]) < 0.7
    mask[..., 0] = True  # no row sees nothing
    module: Any = torch.nn.Module()
    module.num_key_value_groups = query[1] // key[1]
    for seen in (mask, mask[:, :, :1].expand_as(mask), None if query[2] == 1 else mask):
        out, weights = decode_attention(module, q, k, v, seen, scaling=scaling)
        wanted = reference(q, k, v, seen, scaling)
        assert weights is None and out.dtype == kind
        assert torch.allclose(out.double(), wanted, atol=1e-5 if dtype == "float32" else 3e-2)


def test_values_of_another_width() -> None:
    q, k, v = torch.randn(2, 6, 1, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 3)
    out, _ = decode_attention(torch.nn.Module(), q, k, v, None)
    assert out.shape == (2, 1, 6, 3)
    assert torch.allclose(out.double(), reference(q, k, v, None, None), atol=1e-5)


async def test_models_on_a_processor_use_it_unless_told_otherwise(random_model: Path) -> None:
    found = []
    for wanted in (None, "sdpa"):
        async with TransformersBackend(
            str(random_model), device="cpu", attn_implementation=wanted
        ) as backend:
            model: Any = backend._engine._model
            assert model.config._attn_implementation == (wanted or NAME)
            found.append((await take(backend, prompt(backend), 40))[0])
    assert found[0] == found[1]
