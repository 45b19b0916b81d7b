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
from collections.abc import Sequence

from start_sdk._text.events import Event
from start_sdk._text.reader import Reader
from start_sdk.errors import ConfigError
from start_sdk.formats import ReasoningFormat, detect
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
    format = format or detect(tokenizer)
    words = HintLibrary.load().connectives["en"] if words is None else words
    if not format.thinks_after(trace.segments[0].text):
        return []
    reader = Reader(format, words)
    points: list[InsertionPoint] = []
    for position, segment in zip(trace.starts, trace.segments, strict=True):
        if segment.phase in ("close", "answer"):
            if segment.source == "model" and reader.block is None:
                trigger = _end_trigger(segment, format)
                points.append(InsertionPoint(at=position, position="end", trigger=trigger))
            break
        if segment.source != "model":
            reader.feed(segment.text, source=segment.source)
            continue
        decode = tokenizer.stream(trace.token_ids[:position])
        borders = {reader.offset: position}
        events: list[Event] = []
        for at, token_id in enumerate(segment.token_ids, position + 1):
            piece = decode(token_id)
            events += reader.feed(piece, control=token_id in tokenizer.control_ids).events
            borders[reader.offset] = at
        events += reader.feed("", source="hint").events  # a word ends with its segment
        points += [
            InsertionPoint(at=borders[event.at], position="connective", trigger=event.text)
            for event in events
            if event.kind == "trigger" and event.at in borders
        ]
    return points


def _end_trigger(segment: Segment, format: ReasoningFormat) -> str:
    """What ended a thought: the tag or marker that a segment begins with; "" for EOS."""
    texts = [format.end_tag] if format.end_tag else format.answer_markers
    return min((t for t in texts if t in segment.text), key=segment.text.find, default="")


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
