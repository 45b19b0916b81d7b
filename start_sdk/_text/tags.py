"""The tags that families put around thoughts."""

from __future__ import annotations

TAGS = (
    ("<think>", "</think>"),
    ("◁think▷", "◁/think▷"),  # Kimi: three ordinary tokens each
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
)
"""Pairs of an opening and a closing tag."""


def without_opening(text: str) -> str:
    """A thought without the tag that the model opened it with, if it did (Qwen3)."""
    opening = next((tag for tag, _ in TAGS if text.startswith(tag)), "")
    return text.removeprefix(opening)
