"""Samples tokens with noise that depends only on a row's seed and the token's position."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from start_sdk.generation import Sampling

LIKELIEST = 512
"""Tokens of a large vocabulary that are sorted at first: sorting all of it takes longer than the
forward pass of a small model."""


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
    # Below this, logits divided by it would overflow; the likeliest token is certain long before.
    temperature = _column([max(s.temperature, 1e-4) for s in sampling], torch.float32, logits)
    probabilities = (logits / temperature).softmax(-1)
    tokens = torch.empty(len(sampling), dtype=torch.int64, device=logits.device)
    left = list(range(len(sampling)))
    for width in sorted({min(LIKELIEST, logits.shape[-1]), logits.shape[-1]}):
        if not left:
            break
        ordered, ids = _likeliest(probabilities[left], width)
        cumulative = ordered.double().cumsum(-1)
        last = _last(ordered, cumulative, [sampling[i] for i in left])
        mass = _column([noise[i] for i in left], torch.float64, logits) * cumulative.gather(
            -1, last
        )
        index = torch.searchsorted(cumulative, mass, right=True).minimum(last)
        tokens[left] = ids.gather(-1, index).squeeze(-1)
        # Beyond the last of the sorted tokens may be more that are kept, or equally likely ones.
        settled = ordered.gather(-1, last) > ordered[:, -1:]
        left = [i for i, done in zip(left, settled.squeeze(-1).tolist(), strict=True) if not done]
    return tokens


def _likeliest(probabilities: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `n` likeliest tokens of each row in order, equal ones by id: probabilities and ids."""
    if n == probabilities.shape[-1]:
        ordered, ids = probabilities.sort(descending=True, stable=True)
        return ordered, ids
    some = probabilities.topk(n, sorted=False).indices.sort().values
    ordered, order = probabilities.gather(-1, some).sort(descending=True, stable=True)
    return ordered, some.gather(-1, order)


def _last(
    ordered: torch.Tensor, cumulative: torch.Tensor, sampling: Sequence[Sampling]
) -> torch.Tensor:
    """The last token of each row that top-p, top-k and min-p keep, among the likeliest."""
    # top-p keeps the smallest set of likeliest tokens whose mass reaches top_p.
    top_p = _column([s.top_p for s in sampling], torch.float64, ordered)
    last = (cumulative - ordered < top_p).sum(-1, keepdim=True) - 1
    if any(s.top_k or s.min_p for s in sampling):
        size = ordered.shape[-1]
        top_k = _column([min(s.top_k or size, size) for s in sampling], torch.int64, ordered)
        min_p = _column([s.min_p for s in sampling], torch.float32, ordered)
        likely = (ordered >= min_p * ordered[:, :1]).sum(-1, keepdim=True)
        last = torch.minimum(last, torch.minimum(top_k, likely) - 1)
    return last


def _column(values: Sequence[float], dtype: torch.dtype, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype, device=like.device).unsqueeze(-1)
