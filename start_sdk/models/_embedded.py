"""The embedded models: small models that we trained and ship inside the package."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

BASE = "start-tiny-base"
"""Trained without code inside thoughts; the starting point of every miniature experiment."""
DEFAULT = "start-tiny"
"""The base model after Hint-RFT: calls Python by itself (recipes/reproduce)."""
_HERE = Path(__file__).parent


def names() -> list[str]:
    """The names of the embedded models, sorted."""
    return sorted(p.parent.name for p in _HERE.glob("*/config.json"))


def folder(name: str) -> Path | None:
    """The folder of an embedded model; None if there is no such model."""
    return _HERE / name if name in names() else None


def outside(name: str, question: str) -> str | None:
    """Why a question is outside an embedded model's domain, in one line; None if it may be inside.

    The domain is a handful of kinds of math problems. A question with a word that occurs in none
    of them is outside.
    """
    path = folder(name)
    if path is None or not (path / "scope.json").exists():
        return None
    scope: dict[str, Any] = json.loads((path / "scope.json").read_text(encoding="utf-8"))
    known = set(scope["words"])
    unknown = [
        w for w in dict.fromkeys(re.findall(r"[^\W\d_]+", question.lower())) if w not in known
    ]
    if not unknown:
        return None
    some = ", ".join(repr(w) for w in unknown[:3])
    return f"{name} is a miniature that only knows {scope['about']}; it has never seen {some}."
