"""Drops failed attempts from a trace: START's step "modify" (section 3), which is not disclosed.

Whole segments are removed; the remaining tokens do not change. An attempt is a failed cell together
with what the model (or a hint) wrote for it. It is removed only if

- it is not the first thought, and no code block is open where it begins;
- it begins on its own line, so that no sentence is split;
- all other cells, run again without it, give the same output as before.

What is dropped may hold the answer, or the program that passed the tests: a trace that was modified
has to be graded again (`Inspector`).
"""

from __future__ import annotations

from collections.abc import Sequence

from start_sdk import Interpreter, Segment, Trace
from start_sdk.formats import in_block
from start_sdk.session import LazyKernel
from start_sdk.trace import Parent


async def without_failed_tries(
    trace: Trace, interpreter: Interpreter
) -> tuple[Trace, tuple[int, ...]]:
    """The trace without the failed tries that can go, and the numbers of the segments dropped.

    A trace that is changed has the original as its parent, cut where the first try stood.

    Raises:
        InterpreterError: no kernel could be started.
    """
    dropped: set[int] = set()
    for cell, segment in enumerate(trace.segments):
        if segment.call is None or segment.call.status == "ok":
            continue
        tried = dropped | set(_try_of(trace.segments, cell))
        if tried > dropped and await _same_outputs(_kept(trace, tried), interpreter):
            dropped = tried
    if not dropped:
        return trace, ()
    parent = Parent(trace_id=trace.id, at=trace.starts[min(dropped)])
    changed = trace.model_copy(update={"segments": tuple(_kept(trace, dropped)), "parent": parent})
    return changed, tuple(sorted(dropped))


def _try_of(segments: Sequence[Segment], cell: int) -> range:
    """The segments of a failed cell's try, the shortest that can be cut out; empty if none can."""
    for begin in range(cell - 1, 1, -1):  # the first thought, segment 1, stays
        if segments[begin].source not in ("model", "hint"):
            break
        if _can_begin(segments, begin):
            return range(begin, cell + 1)
    return range(0)


def _can_begin(segments: Sequence[Segment], begin: int) -> bool:
    """Whether a try can begin here: on a line of its own, outside any block."""
    since = begin
    while since > 1 and segments[since - 1].source != "tool":
        since -= 1
    before = "".join(s.text for s in segments[since:begin])
    text = "".join(s.text for s in segments[:begin])
    return text.endswith("\n") and not in_block(before)


def _kept(trace: Trace, dropped: set[int]) -> list[Segment]:
    return [segment for i, segment in enumerate(trace.segments) if i not in dropped]


async def _same_outputs(segments: Sequence[Segment], interpreter: Interpreter) -> bool:
    slot = LazyKernel(interpreter)
    try:
        replayed = await slot.replay(segments)
    finally:
        await slot.aclose()
    return all(s.call.replay == "same" for s in replayed if s.call)
