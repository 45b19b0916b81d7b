"""How a thought is ended by force, and how a run is asked for its answer before it ends."""

from __future__ import annotations

from collections.abc import Sequence

from start_sdk._loop.context import Context
from start_sdk._text.answers import prose, stated_answer
from start_sdk.formats import ReasoningFormat
from start_sdk.trace import Limit, Segment

PHRASE = "So the final answer is **"
"""The concluding text by default. The bold type has to hold something: after the words alone, a
small model may write a colon and another program."""
NO_ROOM = "(I have no {kind} left for thinking, so I give my answer now.)\n"
REPEATS = "(I am going round in circles, so I give my answer now.)\n"

JOINERS = 4
"""Tokens kept for line breaks between notices, and for a first token of an answer."""
ANSWER_TOKENS = 256
"""Tokens kept for a concluding text and its answer, at most a quarter of the reserve."""


class Conclusion:
    """Ends thoughts, and decides whether a run that would end is asked for its answer first.

    Args:
        mode: "auto" asks after a hint, a cell or a limit, "always" asks whatever came before,
            "never" does not; any other text is "always" with this concluding text.
        context: of the run.
        format: how the model writes.

    Attributes:
        text: the concluding text.
        given: whether it was given.
    """

    def __init__(self, mode: str, context: Context, format: ReasoningFormat) -> None:
        self.text = PHRASE if mode in ("auto", "always", "never") else mode
        self.given = False
        self._mode = mode if mode in ("auto", "never") else "always"
        self._context = context
        self._format = format

    def due(self, *, limited: bool = False) -> bool:
        """Whether the text is to be given now: no answer follows the last hint or cell.

        Args:
            limited: a limit is reached, or was.
        """
        if not self._possible or not self._fits():
            return False
        segments = self._context.snapshot()
        spliced = [i for i, s in enumerate(segments) if s.source in ("hint", "tool")]
        limited = limited or any(s.source == "notice" for s in segments)
        if self._mode == "auto" and not (spliced or limited):
            return False
        return not self._answered(segments[spliced[-1] + 1 if spliced else 1 :])

    def give(self) -> None:
        """Inserts the text; what the model writes after it is the answer."""
        context = self._context
        if context.phase == "thinking" and self._format.end_tag:
            context.splice_notice(self._format.closing(), "conclusion", phase="close")
        self.given = True
        context.splice_notice(self.text, "conclusion", join="paragraph", phase="answer")

    def end_thinking(self, kind: Limit) -> bool:
        """Ends a thought at a limit: closes an open block, says why, and opens the answer.

        Returns:
            Whether there was room for that and a token of an answer. What does not fit of the
            reason is left out.
        """
        context = self._context
        block, closing = context.reader.block, self._format.closing()
        fence = f"{block.fence}\n" if block else ""
        why = REPEATS if kind == "repeats" else NO_ROOM.format(kind=kind)
        room = context.budget.context_left() - JOINERS - len(context.encode(f"{fence}{closing}"))
        if room < 0:
            return False
        if fence:
            context.splice_notice(fence, kind)
        if len(context.encode(why)) <= room:
            context.splice_notice(why, kind, join="paragraph")
        if not self._format.end_tag and self._possible and self._fits():
            self.give()
        else:
            context.splice_notice(closing, kind, phase="close")
        return True

    def kept(self) -> int:
        """Tokens of an answer's room that are kept for a concluding text."""
        if not self._possible or (self._format.end_tag and self._mode == "auto"):
            return 0
        return min(ANSWER_TOKENS, self._context.budget.reserve // 4)

    @property
    def _possible(self) -> bool:
        return self._mode != "never" and not self.given

    def _fits(self) -> bool:
        """Whether the context has room for the text and a word after it."""
        needed = 2 * len(self._context.encode(self.text))
        return self._context.budget.room(thinking=False) >= needed

    def _answered(self, segments: Sequence[Segment]) -> bool:
        response = "".join(s.text for s in segments if s.source == "model" and s.phase == "answer")
        if self._format.end_tag and self._mode == "auto" and response.strip():
            return True
        return stated_answer(response or prose(segments)) is not None
