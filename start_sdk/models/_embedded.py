"""The embedded models: small models that we trained and ship inside the package.

Most are whole. An adapter is the difference that our training made to a public model, which has
to be on the machine; base.json beside it says which, and where it is looked for.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from start_sdk.errors import ModelError

BASE = "start-tiny-base"
"""Trained without code inside thoughts; the starting point of every miniature experiment."""
DEFAULT = "start-tiny"
"""The base model after Hint-RFT: calls Python by itself (recipes/reproduce)."""
_HERE = Path(__file__).parent


def names() -> list[str]:
    """The names of the embedded models, sorted."""
    return sorted(path.parent.name for path in _HERE.glob("*/README.md"))


def folder(name: str) -> Path | None:
    """The folder of an embedded model; None if there is no such model."""
    return _HERE / name if name in names() else None


def base_of(folder: Path) -> Path | None:
    """The folder of the public model that an embedded adapter is for; None if it is no adapter.

    Raises:
        ModelError: it is not where it is looked for.
    """
    about = folder / "base.json"
    if folder.parent != _HERE or not about.is_file():  # a stranger's folder names no other one
        return None
    base: dict[str, str] = json.loads(about.read_text(encoding="utf-8"))
    if given := os.environ.get(base["variable"]):
        places = [Path(given)]
    else:  # the working directory, or the checkout that this package is installed from
        places = [Path(base["folder"]), _HERE.parents[1] / base["folder"]]
    found = next((place for place in places if (place / "config.json").is_file()), None)
    if found is None:
        raise ModelError(
            f"{folder.name} is an adapter of {base['name']}, which is not in {str(places[0])!r}: "
            f"`{base['command']}` makes that folder (so does `make real` in a checkout); if it "
            f"is elsewhere, set {base['variable']}"
        )
    return found


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
