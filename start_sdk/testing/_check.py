"""One line of a conformance report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One checked property, and whether it holds."""

    name: str
    ok: bool
    detail: str = ""
    """What was observed."""
    cost: str = ""
    """What it costs users if the check fails."""
    required: bool = True
    """Whether a failure breaks the contract; False for optional and undeclared capabilities."""
    helps: str = ""
    """What may provide the property, "" if unknown."""
