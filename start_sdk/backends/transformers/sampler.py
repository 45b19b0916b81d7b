"""Draws tokens with noise that depends on a row's seed and a position, and on nothing else."""

from __future__ import annotations

import hashlib

import torch

from start_sdk.protocols import Sampling


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) for a position of a row: the same on every machine, in any order."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def draw(logits: torch.Tensor, sampling: Sampling, position: int) -> tuple[int, float]:
    """A token and the natural log of its probability (at temperature 1, before top-p).

    Args:
        logits: shape (vocabulary,).
        sampling: temperature 0 takes the likeliest token.
        position: index of the token in the whole sequence.
    """
    logits = logits.float()
    token = _choose(logits, sampling, position)
    logprob = float(logits[token] - logits.logsumexp(0)) if sampling.logprobs else 0.0
    return token, logprob


def _choose(logits: torch.Tensor, sampling: Sampling, position: int) -> int:
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities = (logits / sampling.temperature).softmax(0)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    cumulative = ordered.double().cumsum(0)
    # top-p keeps the smallest set of likeliest tokens whose mass reaches top_p.
    kept = int((cumulative - ordered < sampling.top_p).sum())
    mass = uniform(sampling.seed, position) * float(cumulative[kept - 1])
    index = int(torch.searchsorted(cumulative[:kept], mass, right=True))
    return int(tokens[min(index, kept - 1)])
