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
    logits: torch.Tensor, sampling: Sequence[Sampling], contexts: Sequence[Sequence[int]]
) -> tuple[list[int], list[float]]:
    """Samples a token for each row, with its natural log probability (of all, unpenalised).

    The log probability of a row that did not request it is 0.

    Args:
        logits: shape (rows, vocabulary).
        sampling: one per row; temperature 0 takes the likeliest token.
        contexts: one per row: the ids before the token.
    """
    raw = logits = logits.float()
    if any(s.repetition_penalty != 1 for s in sampling):
        logits = _penalised(logits, sampling, contexts)
    tokens = logits.argmax(-1)
    warm = [i for i, s in enumerate(sampling) if s.temperature > 0]
    if warm:
        chosen = logits if len(warm) == len(sampling) else logits[warm]
        noise = [uniform(sampling[i].seed, len(contexts[i])) for i in warm]
        tokens[warm] = _sample(chosen, [sampling[i] for i in warm], noise)
    if not any(s.logprobs for s in sampling):
        return tokens.tolist(), [0.0] * len(sampling)
    picked = raw.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    logprobs = (picked - raw.logsumexp(-1)).tolist()
    return tokens.tolist(), [
        p if s.logprobs else 0.0 for p, s in zip(logprobs, sampling, strict=True)
    ]


def _penalised(
    logits: torch.Tensor, sampling: Sequence[Sampling], contexts: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Makes the tokens of each row's context less likely (CTRL, arXiv 1909.05858, section 4.1)."""
    logits = logits.clone()
    for row, s, ids in zip(logits, sampling, contexts, strict=True):
        if s.repetition_penalty != 1:
            seen = torch.tensor(sorted(set(ids)), device=logits.device)
            before = row[seen]
            row[seen] = torch.where(
                before > 0, before / s.repetition_penalty, before * s.repetition_penalty
            )
    return logits


def _sample(
    logits: torch.Tensor, sampling: Sequence[Sampling], noise: Sequence[float]
) -> torch.Tensor:
    def column(values: Sequence[float], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=logits.device).unsqueeze(-1)

    # Below this, logits divided by it would overflow; the likeliest token is certain long before.
    temperature = column([max(s.temperature, 1e-4) for s in sampling], torch.float32)
    top_p = column([s.top_p for s in sampling], torch.float64)
    probabilities = (logits / temperature).softmax(-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    cumulative = ordered.double().cumsum(-1)
    # top-p keeps the smallest set of likeliest tokens whose mass reaches top_p.
    last = (cumulative - ordered < top_p).sum(-1, keepdim=True) - 1
    if any(s.top_k or s.min_p for s in sampling):
        size = logits.shape[-1]
        top_k = column([s.top_k or size for s in sampling], torch.int64)
        min_p = column([s.min_p for s in sampling], torch.float32)
        likely = (ordered >= min_p * ordered[:, :1]).sum(-1, keepdim=True)
        last = torch.minimum(last, torch.minimum(top_k, likely) - 1)
    mass = column(noise, torch.float64) * cumulative.gather(-1, last)
    index = torch.searchsorted(cumulative, mass, right=True)
    return tokens.gather(-1, index.minimum(last)).squeeze(-1)
