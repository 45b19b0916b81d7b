"""Keeps an API key out of errors, whatever form a server gives back to it."""

from __future__ import annotations

import json
from urllib.parse import quote

LEAST = 8
"""Characters of a key that are hidden where the rest of it was cut off: fewer give nothing away."""


class Secret:
    """A key, or "" for none.

    A server may repeat it as it is, in a path, or inside JSON, and messages are cut anywhere.
    """

    def __init__(self, key: str) -> None:
        forms = {key, quote(key, safe=""), json.dumps(key)[1:-1]} if key else set[str]()
        lengths = {form: range(min(len(form), LEAST), len(form) + 1) for form in forms}
        found = {form[:length] for form in forms for length in lengths[form]}
        self._beginnings = sorted(found, key=len, reverse=True)

    def hidden(self, text: str) -> str:
        """A text without the key, or a longer beginning of it."""
        for beginning in self._beginnings:
            text = text.replace(beginning, "***")
        return text

    def cause(self, error: BaseException) -> BaseException | None:
        """What a traceback may show as the cause of another error: None if it holds the key."""
        return error if self.hidden(text := repr(error)) == text else None
