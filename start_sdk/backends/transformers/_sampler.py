"""Samples tokens with noise that depends only on a row's seed and the token's position."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from start_sdk.generation import Sampling


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) for a position in a row: the same on every machine, in any order."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def draw(
    logits: torch.Tensor, sampling: Sequence[Sampling], positions: Sequence[int]
) -> tuple[list[int], list[float]]:
    """Samples a token for each row, with its natural log probability (temperature 1, no top-p).

    The log probability of a row that did not request it is 0.

    Args:
        logits: shape (rows, vocabulary).
        sampling: one per row; temperature 0 takes the likeliest token.
        positions: one per row: index of the token in the whole sequence.
    """
    logits = logits.float()
    tokens = logits.argmax(-1)
    warm = [i for i, s in enumerate(sampling) if s.temperature > 0]
    if warm:
        chosen = logits if len(warm) == len(sampling) else logits[warm]
        tokens[warm] = _sample(chosen, [sampling[i] for i in warm], [positions[i] for i in warm])
    if not any(s.logprobs for s in sampling):
        return tokens.tolist(), [0.0] * len(sampling)
    picked = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    logprobs = (picked - logits.logsumexp(-1)).tolist()
    return tokens.tolist(), [
        p if s.logprobs else 0.0 for p, s in zip(logprobs, sampling, strict=True)
    ]


def _sample(
    logits: torch.Tensor, sampling: Sequence[Sampling], positions: Sequence[int]
) -> torch.Tensor:
    def column(values: list[float], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=logits.device).unsqueeze(-1)

    temperature = column([s.temperature for s in sampling], torch.float32)
    top_p = column([s.top_p for s in sampling], torch.float64)
    noise = [uniform(s.seed, p) for s, p in zip(sampling, positions, strict=True)]
    probabilities = (logits / temperature).softmax(-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    cumulative = ordered.double().cumsum(-1)
    # top-p keeps the smallest set of likeliest tokens whose mass reaches top_p.
    last = (cumulative - ordered < top_p).sum(-1, keepdim=True) - 1
    mass = column(noise, torch.float64) * cumulative.gather(-1, last)
    index = torch.searchsorted(cumulative, mass, right=True)
    return tokens.gather(-1, index.minimum(last)).squeeze(-1)
