"""One line of a conformance report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and whether it is as the contract says."""

    name: str
    ok: bool
    detail: str = ""
    """What was seen."""
    cost: str = ""
    """What it costs who uses the thing, if it is not ok."""
    required: bool = True
    """Whether the contract is broken if it is not ok: not where it may be so and is declared."""
