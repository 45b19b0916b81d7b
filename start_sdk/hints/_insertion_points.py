"""Insertion points in a finished trace: the staged form of Hint-infer (START, section 3).

The paper lets a model think to the end, cuts the thought at a position, inserts a hint there and
lets the model continue. The positions are: after "Wait" or "Alternatively", after the last "wait",
and where the thought ends. Among several it chooses at random; here a seed draws one uniformly.

    points = find_insertion_points(trace, backend.tokenizer)
    point = draw_insertion_point(points, seed=1)
    hinted = await session.resume_hinted(trace, point, library.get("general"))
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from start_sdk.errors import ConfigError
from start_sdk.formats import ReasoningFormat
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Tokenizer
from start_sdk.trace import InsertionPoint, Segment, Trace


def find_insertion_points(
    trace: Trace,
    tokenizer: Tokenizer,
    format: ReasoningFormat | None = None,
    words: Sequence[str] | None = None,
) -> list[InsertionPoint]:
    """Returns a trace's insertion points in order; the last is the end of its thought, if any.

    A connective counts if a token ends with it and it is a whole word outside open blocks, LaTeX
    and quotations. If a limit ended the thought, its end is not an insertion point.

    Args:
        trace: what a session returned.
        tokenizer: the tokenizer it was made with.
        format: how its model writes; detected from the tokenizer by default.
        words: the connectives; the library's English ones by default.
    """
    format = format or ReasoningFormat.detect(tokenizer)
    words = HintLibrary.load().connectives["en"] if words is None else words
    if not format.thinks_after(trace.segments[0].text):
        return []
    points: list[InsertionPoint] = []
    position, thought = 0, ""
    for segment in trace.segments:
        if segment.phase in ("close", "answer"):
            if segment.source == "model":
                found = [stop for stop in format.end_stops if stop in segment.text]
                trigger = min(found, key=segment.text.find, default="")
                points.append(InsertionPoint(at=position, position="end", trigger=trigger))
            break
        if segment.source == "model":
            for at, before, word in _connectives(trace, segment, position, tokenizer, words):
                so_far = thought + before
                closed = not format.open_block(so_far) and not format.in_latex(so_far)
                if closed and not format.in_quote(so_far):
                    points.append(InsertionPoint(at=at, position="connective", trigger=word))
        position += len(segment.token_ids)
        if segment.source == "tool" or segment.notice == "calls":
            thought = ""
        elif segment.source != "prompt":
            thought += segment.text
    return points


def _connectives(
    trace: Trace, segment: Segment, start: int, tokenizer: Tokenizer, words: Sequence[str]
) -> Iterator[tuple[int, str, str]]:
    """Yields each connective of a segment: position of its end, text up to there, the word."""
    step = tokenizer.stream(trace.token_ids[:start])
    pieces = [step(token_id) for token_id in segment.token_ids]
    text = ""
    for i, piece in enumerate(pieces):
        text += piece
        word = next((w for w in words if piece and text.endswith(w)), None)
        if word is None:
            continue
        before, after = text.removesuffix(word)[-1:], "".join(pieces[i + 1 : i + 3])[:1]
        if not _letter(before) and not _letter(after):
            yield start + i + 1, text, word


def _letter(character: str) -> bool:
    return character.isascii() and character.isalnum()


def last_insertion_point(
    points: Sequence[InsertionPoint], words: Sequence[str] = ("Wait", "wait")
) -> InsertionPoint | None:
    """Returns the last point after one of `words`, where START's EMNLP version cuts; else None.

    Points after "wait" are only found if it was among the `words` of `find_insertion_points`.
    """
    return next((p for p in reversed(points) if p.trigger in words), None)


def draw_insertion_point(
    points: Sequence[InsertionPoint], *, seed: int, trace_id: str = ""
) -> InsertionPoint:
    """Draws one point uniformly; the same seed, trace id and number of points give the same point.

    Raises:
        ConfigError: `points` is empty.
    """
    if not points:
        raise ConfigError("no points to draw from: the trace has no connective and no end")
    return random.Random(f"{seed}:{trace_id}:{len(points)}").choice(points)
