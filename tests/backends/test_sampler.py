"""Tokens of a large vocabulary are drawn as if all of it were sorted."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from start_sdk import Sampling
from start_sdk.backends.transformers._sampler import draw, uniform

VOCABULARY = 4000


def drawn(logits: list[float], sampling: Sampling, position: int) -> int:
    """The token, by the definition: likeliest first, equally likely ones by id."""
    row = (torch.tensor(logits) / sampling.temperature).softmax(-1).tolist()
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    kept: list[int] = []
    total = 0.0
    for i in order:
        full = total >= sampling.top_p or (sampling.top_k and len(kept) >= sampling.top_k)
        if full or row[i] < sampling.min_p * row[order[0]]:
            break
        kept.append(i)
        total += row[i]
    left = uniform(sampling.seed, position) * total
    for i in kept:
        left -= row[i]
        if left < 0:
            return i
    return kept[-1]


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_large_vocabularies(spread: float) -> None:
    torch.manual_seed(0)
    # As coarse as bfloat16, so that many are equally likely; with no spread, all of them.
    logits = (torch.randn(24, VOCABULARY) * spread).bfloat16().float()
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"top_p": 0.3},
        {"top_p": 1.0},
        {"top_k": 40, "top_p": 1.0},
        {"top_k": 3000},
        {"min_p": 0.05, "top_p": 1.0},
    )
    sampling = [Sampling(temperature=1, seed=i, **kinds[i % len(kinds)]) for i in range(24)]
    tokens, _ = draw(logits, sampling, [[0] * i for i in range(24)])
    wanted = [
        drawn(row.tolist(), s, i) for i, (row, s) in enumerate(zip(logits, sampling, strict=True))
    ]
    assert tokens == wanted
