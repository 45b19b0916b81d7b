"""Fields that some servers and models do not take: found out by their errors, and left out."""

from __future__ import annotations

import re

from start_sdk.backends._http import Json, ServerError

SAMPLING = ("seed", "top_k", "min_p", "repetition_penalty", "top_p", "temperature")
"""Left out, if need be, where the server's own values are as good as any: not with token ids. In
this order: some take no `top_p` with a temperature of 0."""


class Fields:
    """The optional fields of the requests to one model.

    Args:
        optional: those that may be left out.
    """

    def __init__(self, optional: tuple[str, ...]) -> None:
        self._optional = ("stream_options", *optional)
        self._left_out: list[str] = []
        self._renamed = False

    @property
    def note(self) -> str:
        """Which sampling fields the server does not take, "" for none."""
        names = ", ".join(name for name in self._left_out if name in SAMPLING)
        return f"; it takes no {names}" if names else ""

    def fit(self, body: Json) -> Json:
        """A request's body as the server takes it."""
        fitted = {name: value for name, value in body.items() if name not in self._left_out}
        if self._renamed and "max_tokens" in fitted:
            fitted["max_completion_tokens"] = fitted.pop("max_tokens")
        return fitted

    def learn(self, error: ServerError, body: Json) -> bool:
        """Whether an error is about an optional field of a body, which is left out from now on."""
        if error.status not in (400, 422):
            return False
        if "max_completion_tokens" in error.message and not self._renamed and "max_tokens" in body:
            self._renamed = True  # OpenAI's reasoning models
            return True
        for name in self._optional:
            named = re.search(rf"(?<!\w){name}(?!\w)", error.message)
            if named and name in body and name not in self._left_out:
                self._left_out.append(name)
                return True
        return False
