"""What the events of a stream say, and what they leave out.

llama.cpp sends no event for a token that ends inside a character: its id never arrives, nor its log
probability. The text that does arrive, with the number of tokens, mostly leaves one possibility.
"""

from __future__ import annotations

from typing import Any

from start_sdk.backends._continuation import finite
from start_sdk.backends._resuming import Lost
from start_sdk.backends.llamacpp._vocabulary import Vocabulary


class Gap(Exception):
    """Tokens were sampled that cannot be told from the text.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class Reading:
    """Reads the events of one stream, in order.

    Args:
        vocabulary: the server's.
        ahead: whether the server counts tokens before it has sent them: with speculative decoding.

    Attributes:
        received: tokens so far.
        cached: tokens of the prompt that were in the server's cache; None if it does not say.
    """

    def __init__(self, vocabulary: Vocabulary, *, ahead: bool) -> None:
        self.received = 0
        self.cached: int | None = None
        self._vocabulary = vocabulary
        self._ahead = ahead

    def ids(self, event: dict[str, Any]) -> list[int]:
        """The tokens up to and with an event's own.

        Raises:
            Gap: some of them are not known.
            Lost: the stream is not in order.
            LookupError, TypeError, ValueError: it is no event of llama.cpp's server.
        """
        timings = event.get("timings") or {}
        self.cached = timings.get("cache_n", self.cached)
        ids = _own(event)
        text = str(event["content"]).encode(errors="replace")
        shown = b"".join(self._vocabulary.shown[i] for i in ids)
        missing = int(event["tokens_predicted"]) - self.received - len(ids)
        if missing < 0:
            raise Lost  # an event came twice
        if missing and not (self._ahead and text == shown):
            ids = self._missing(text, shown, missing) + ids
        self.received += len(ids)
        return ids

    def _missing(self, text: bytes, shown: bytes, count: int) -> list[int]:
        """The tokens before an event's own ones, which show the end of its text."""
        rest = text[: len(text) - len(shown)]
        found = self._vocabulary.inside(rest, count) if text.endswith(shown) else None
        if found is None:
            raise Gap(count)
        return found


def logprobs(event: dict[str, Any]) -> list[float]:
    """The log probabilities of an event's own tokens.

    Raises:
        LookupError, TypeError, ValueError: there is not one for each.
    """
    found = [finite(entry["logprob"]) for entry in event.get("completion_probabilities") or ()]
    if len(found) != len(ids := _own(event)):
        raise ValueError(f"{len(found)} log probabilities for {len(ids)} tokens")
    return found


def _own(event: dict[str, Any]) -> list[int]:
    return [int(i) for i in event["tokens"]]
