"""Attention of one new token per row, for processors."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "start_sdk_decode"


def use_decode_attention(model: Any) -> None:
    """Sets a model to it that would use torch's `scaled_dot_product_attention`."""
    if model.config._attn_implementation == "sdpa" and model._can_set_attn_implementation():
        AttentionInterface.register(NAME, decode_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def decode_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it (`AttentionInterface`).

    Of a batch's rows with one new token each, torch's kernel for processors takes most of a forward
    pass: it works through the columns row by row, and keys and values are first repeated for each
    query of a group. Here the queries that share keys are the rows of one product.

    Args:
        module: the layer.
        query: shape (rows, heads, new tokens, width).
        key: shape (rows, key heads, columns, width); so is `value`, of its own width.
        value: see there.
        attention_mask: True where a column may be seen; it broadcasts to (rows, 1, new, columns).
        dropout: as torch's function takes it; so is `scaling`.
        scaling: see there.
        others: passed on to the library's function.

    Returns:
        the output, shape (rows, new tokens, heads, width of `value`), and no weights.
    """
    rows, heads, new, width = query.shape
    masked_otherwise = attention_mask is not None and attention_mask.dtype != torch.bool
    if new > 1 or dropout or masked_otherwise or others.get("position_bias") is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
    grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
    # The keys come first because that product is five times as fast in bfloat16.
    scores = (key @ grouped.transpose(2, 3)).transpose(2, 3)
    scores = scores * (width**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).reshape(rows, 1, heads, value.shape[3]), None
