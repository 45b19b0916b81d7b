"""What the server's tokens stand for, asked once, so that no token costs a request later."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from start_sdk.backends._continuation import finite
from start_sdk.backends._rendering import any_of

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Posts a body to a path of the server and returns the answer."""

ALL = 10**7
"""Tokens whose probability is asked for: more than any vocabulary has."""
FORCED = 1e6
"""Added to a logit, it decides what is sampled."""

_TAG = re.compile(r"[^\w\s].*[^\W\d_].*[^\w\s]")
"""What tags look like. Tokens that were learnt do not have letters between punctuation."""
_PLACES = ("x{}x", "1{}1", "({})", "<{}>", '"{0}{0}"')
"""Where an ordinary token would merge with what stands beside it."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a model.

    Attributes:
        pieces: the bytes of each token; of a control token, its tag.
        shown: what the server's texts contain of each token: nothing of a control token, unless the
            server was started with `--special`.
        control_ids: tokens whose text counts as a tag only if it comes as that token.
        eos_ids: tokens after which the server stops.
        tags: their texts, with their ids.
        control_text: finds the tags.
        eager_text: finds those tags that the server encodes as their tokens even in plain text.
    """

    pieces: Mapping[int, bytes]
    shown: Mapping[int, bytes]
    control_ids: frozenset[int]
    eos_ids: frozenset[int]
    tags: Mapping[str, int]
    control_text: re.Pattern[str]
    eager_text: re.Pattern[str]
    _partial: dict[bytes, tuple[int, ...]]

    def inside(self, data: bytes, count: int) -> list[int] | None:
        """The `count` tokens with these bytes after each of which a character is incomplete.

        Returns:
            None if there are none, or several possibilities.
        """
        found: list[list[int]] = []

        def search(at: int, ids: list[int]) -> None:
            if len(ids) == count and at == len(data):
                found.append(ids)
            if len(ids) == count or len(found) > 1:
                return
            for end in range(at + 1, len(data) + 1):
                if _is_cut(data[:end]):
                    for token_id in self._partial.get(data[at:end], ()):
                        search(end, [*ids, token_id])

        search(0, [])
        return found[0] if len(found) == 1 else None


def load(ask: Ask) -> Vocabulary:
    """Asks a server for its vocabulary: one token is generated, with the probability of each.

    Raises:
        LookupError, TypeError, ValueError, OverflowError: it does not answer as llama.cpp's server
            does.
    """
    shown, eos_ids = _tokens(ask)
    hidden = [i for i, piece in shown.items() if not piece]
    tagged = zip(hidden, (text.encode() for text in _texts(ask, hidden)), strict=True)
    pieces = {**shown, **dict(tagged)}
    texts = {i: piece.decode(errors="replace") for i, piece in pieces.items()}
    tags = {i: text for i, text in texts.items() if _TAG.fullmatch(text)}
    eager = _recognised(ask, tags, parse_special=False)
    control_ids = eager | _recognised(ask, tags, parse_special=True) | {*hidden}
    partial: dict[bytes, tuple[int, ...]] = {}
    for i, piece in shown.items():
        if "\ufffd" in texts[i] and piece != texts[i].encode():
            partial[piece] = (*partial.get(piece, ()), i)
    return Vocabulary(
        pieces=pieces,
        shown=shown,
        control_ids=frozenset(control_ids),
        eos_ids=eos_ids,
        tags={texts[i]: i for i in control_ids},
        control_text=any_of(texts[i] for i in control_ids),
        eager_text=any_of(texts[i] for i in eager),
        _partial=partial,
    )


def encoded(
    ask: Ask, parts: Sequence[str | int], *, parse_special: bool = False, begins: bool = False
) -> list[int]:
    """The ids of some texts, each encoded by itself, in one request.

    Args:
        ask: see `Ask`.
        parts: texts; an id stands for itself.
        parse_special: whether tags in the texts become control tokens.
        begins: whether a token that begins a prompt is put in front, if the model has one.
    """
    content = [part for part in parts if part != ""]
    if not content:
        return []
    one = len(content) == 1 and isinstance(content[0], str)
    body = {
        "content": content[0] if one else content,
        "add_special": begins,
        "parse_special": parse_special,
    }
    return [int(i) for i in ask("/tokenize", body)["tokens"]]


def _tokens(ask: Ask) -> tuple[dict[int, bytes], frozenset[int]]:
    """The bytes of each token as texts show it, and the tokens that end a text."""
    letter = encoded(ask, ["x"])
    answer = ask(
        "/completion",
        {
            "prompt": letter,
            "n_predict": 1,
            "n_probs": ALL,
            "logit_bias": [[letter[-1], FORCED]],  # the start of a character has no probabilities
            "ignore_eos": True,  # adds the tokens that end a text to those whose logits are changed
            "temperature": 0.0,
            "samplers": ["temperature"],
            "cache_prompt": False,
        },
    )
    found = {int(e["id"]): bytes(e["bytes"]) for e in _probabilities(answer)}
    biased = answer["generation_settings"]["logit_bias"]
    eos_ids = frozenset(int(e["token"]) for e in biased if not (e["bias"] or -1) > 0)
    return found, eos_ids


def _probabilities(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Each token with its log probability, at the one position of an answer."""
    (position,) = answer["completion_probabilities"]
    return list(position["top_logprobs"])


def logprob_of(answer: dict[str, Any], token_id: int) -> float | None:
    """The log probability of a token at the one position of an answer; None if it has no room."""
    found = (finite(e["logprob"]) for e in _probabilities(answer) if e["id"] == token_id)
    return next(found, None)


def _texts(ask: Ask, ids: Sequence[int]) -> list[str]:
    """The text of each of some tokens."""
    newline = encoded(ask, ["\n"])[-1]
    tokens = [i for token_id in ids for i in (token_id, newline)]
    texts = str(ask("/detokenize", {"tokens": tokens})["content"]).split("\n")[:-1]
    if len(texts) == len(ids):
        return texts
    return [str(ask("/detokenize", {"tokens": [i]})["content"]) for i in ids]  # one has a newline


def _recognised(ask: Ask, tags: dict[int, str], *, parse_special: bool) -> set[int]:
    """Those tags that are encoded as their tokens wherever they stand: added tokens, that is."""
    texts = ["\n".join(place.format(tag) for place in _PLACES) for tag in tags.values()]
    found = _counts(encoded(ask, ["\n".join(texts)], parse_special=parse_special))
    return {i for i in tags if found.get(i, 0) > len(_PLACES)}


def _counts(ids: Iterable[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for i in ids:
        counts[i] = counts.get(i, 0) + 1
    return counts


def _is_cut(data: bytes) -> bool:
    """Whether a text ends inside a character, as the server finds out."""
    return any(_length(byte) > distance for distance, byte in enumerate(data[:-4:-1], 1))


def _length(byte: int) -> int:
    """Bytes of the character that a byte begins; 1 if it begins none."""
    if byte >> 5 == 0b110:
        return 2
    if byte >> 4 == 0b1110:
        return 3
    return 4 if byte >> 3 == 0b11110 else 1
