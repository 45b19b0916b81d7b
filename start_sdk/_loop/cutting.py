"""Cutting a trace where it is resumed, and an output where it is too long."""

from __future__ import annotations

from start_sdk.errors import ConfigError
from start_sdk.protocols import Tokenizer
from start_sdk.trace import Segment, Trace


def shorten(text: str, keep: int) -> tuple[str, int]:
    """Returns a text's head and tail, `keep` characters in all, and how many were omitted."""
    cut = len(text) - keep
    if cut <= 0:
        return text, 0
    head = (keep + 1) // 2
    return (
        f"{text[:head]}\n[... {cut} characters left out ...]\n{text[len(text) - keep // 2 :]}",
        cut,
    )


def cut_segments(
    trace: Trace, at: int, tokenizer: Tokenizer, *, spliced: bool = False
) -> list[Segment]:
    """Returns the first `at` tokens of a trace as segments; only model segments can be split.

    Args:
        trace: what is cut.
        at: how many tokens stay.
        tokenizer: the trace's own.
        spliced: whether a text follows. A model could otherwise complete a character that a limit
            has cut, and whose text is settled.

    Raises:
        ConfigError: `at` is outside the trace, inside a spliced segment or a character, or after
            EOS.
    """
    kept: list[Segment] = []
    position = 0
    for segment in trace.segments:
        start, position = position, position + len(segment.token_ids)
        if position < at or (position == at and (spliced or segment.source != "model")):
            kept.append(segment)
        elif position == at:
            _head(segment, at - start, trace.token_ids[:start], tokenizer)
            kept.append(segment)
        elif start < at:
            if segment.source == "prompt":
                raise ConfigError(f"at={at} is inside the prompt: cut at {position} or later")
            if segment.source != "model":
                raise ConfigError(
                    f"at={at} is inside a {segment.source} segment: cut at {start} or {position}"
                )
            kept.append(_head(segment, at - start, trace.token_ids[:start], tokenizer))
    if not kept or at > position:
        first = len(trace.segments[0].token_ids) if trace.segments else 0
        raise ConfigError(
            f"at={at} is outside the trace: its prompt ends at {first}, its text at {position}"
        )
    if kept[-1].token_ids[-1:] and kept[-1].token_ids[-1] in tokenizer.eos_ids and len(kept) > 1:
        raise ConfigError(f"at={at} is after the end-of-sequence token: cut before it, at {at - 1}")
    return kept


def _head(segment: Segment, count: int, before: list[int], tokenizer: Tokenizer) -> Segment:
    """The first tokens of a model segment, which have to end where a character ends."""
    decode = tokenizer.stream(before)
    pieces = [decode(token_id) for token_id in segment.token_ids]
    borders = [0, *(i for i, piece in enumerate(pieces, 1) if piece)]
    if count not in borders:
        start = len(before)
        lower = start + max(i for i in borders if i < count)
        upper = next((f" and {start + i}" for i in borders if i > count), "")
        near = f"the nearest borders are {lower}{upper}" if upper else f"cut at {lower}"
        raise ConfigError(f"at={start + count} is inside a character: {near}")
    update = {
        "text": "".join(pieces[:count]),
        "token_ids": segment.token_ids[:count],
        "logprobs": segment.logprobs and segment.logprobs[:count],
    }
    return segment.model_copy(update=update)
