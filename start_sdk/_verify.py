"""Checks that a trace is consistent with itself and with its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from start_sdk.errors import TraceDrift
from start_sdk.protocols import Tokenizer
from start_sdk.trace import Segment, Trace


def verify_trace(trace: Trace, tokenizer: Tokenizer, *, mask: Sequence[int] | None = None) -> None:
    """Checks a trace against its tokenizer and reports the first inconsistency.

    It decodes the ids and compares the text, encodes spliced texts and compares the ids, looks for
    each call's code in the text before its output, and allows the end-of-sequence token only at
    the end.

    Args:
        trace: what a session returned, or a row read from a file.
        tokenizer: the tokenizer it was made with.
        mask: a loss mask stored with the trace, to compare with the derived one.

    Raises:
        TraceDrift: names the segment and what was expected there.
    """
    if not trace.segments or [s.source for s in trace.segments].count("prompt") != 1:
        raise TraceDrift("a trace must have exactly one prompt")
    ids: list[int] = []
    text = written = ""
    for i, s in enumerate(trace.segments):
        where = f"segment {i} ({s.source})"
        if (s.source == "prompt") != (i == 0):
            raise TraceDrift(f"{where}: the first segment, and no other, must be the prompt")
        ids += s.token_ids
        text += s.text
        try:
            decoded = tokenizer.decode(ids)
        except (OverflowError, LookupError, ValueError, TypeError) as error:
            raise TraceDrift(f"{where}: the tokenizer does not know its ids") from error
        if decoded != text:
            at = next(
                (k for k, (a, b) in enumerate(zip(decoded, text, strict=False)) if a != b), -1
            )
            raise TraceDrift(
                f"{where}: its ids decode to {decoded[at:][:40]!r}, its text is {text[at:][:40]!r}"
            )
        _verify_segment(s, where, tokenizer, last=i == len(trace.segments) - 1)
        if s.call and s.call.code not in written + "\n":
            raise TraceDrift(f"{where}: its code is not in the text before it")
        written = "" if s.source == "tool" else written + s.text
    if (trace.finish == "eos") != any(i in tokenizer.eos_ids for i in ids[-1:]):
        raise TraceDrift(f"finish is {trace.finish!r}, but the last token is {ids[-1:]}")
    expected = trace.loss_mask()
    if mask is not None and list(mask) != expected:
        at = next((k for k, (a, b) in enumerate(zip(mask, expected, strict=False)) if a != b), -1)
        raise TraceDrift(
            f"the loss mask has {len(mask)} of {len(expected)} tokens and differs at {at}"
        )


def _verify_segment(s: Segment, where: str, tokenizer: Tokenizer, *, last: bool) -> None:
    if s.source in ("hint", "tool", "notice"):
        encoded = tokenizer.encode(s.text, control=s.phase == "close")
        if encoded != list(s.token_ids):
            raise TraceDrift(
                f"{where}: its text encodes to {encoded[:8]}, its ids are {list(s.token_ids[:8])}"
            )
    ends = [i for i in s.token_ids if i in tokenizer.eos_ids]
    if s.source != "prompt" and ends and not (last and s.token_ids == tuple(ends[:1])):
        raise TraceDrift(f"{where}: an end-of-sequence token comes before the end")
    if s.logprobs is not None and len(s.logprobs) != len(s.token_ids):
        raise TraceDrift(f"{where}: {len(s.logprobs)} logprobs for {len(s.token_ids)} tokens")
