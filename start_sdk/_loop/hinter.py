"""The hints of one run: pending hints, hints from its policy, and how they are inserted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from start_sdk._loop.context import Context
from start_sdk.formats import Join, ReasoningFormat
from start_sdk.protocols import Hint, HintContext, HintPolicy
from start_sdk.trace import HintRecord, Position

Pending = tuple[Hint, Position, str]
"""A pending hint, the position to record, and its trigger text."""


class Hinter:
    """Inserts hints into a context.

    Args:
        context: the context to insert into.
        format: tells where a hint is not allowed.
        policy: decides on hints, if there is one.
        pending: hints to insert first, one after another.
    """

    def __init__(
        self,
        context: Context,
        format: ReasoningFormat,
        policy: HintPolicy | None,
        pending: Sequence[Pending] = (),
    ) -> None:
        self._context = context
        self._format = format
        self._policy = policy
        self._pending = list(pending)

    @property
    def due(self) -> bool:
        """Whether a hint is pending and may be inserted now."""
        return bool(self._pending) and self._allowed()

    def add(self, text: str) -> None:
        """Queues a text from outside until it may be inserted."""
        hint = Hint(id="steer", text=text, category="Steer", domain="any", positions=("steer",))
        self._pending.append((hint, "steer", ""))

    def give_pending(self) -> bool:
        """Inserts pending hints, up to one that opens a block; returns whether any was inserted."""
        given = False
        while self.due:
            given |= self._give(*self._pending.pop(0))
        return given

    def give(self, observe: Callable[[], HintContext | None]) -> bool:
        """Inserts pending hints, or else the policy's hint; returns whether any was inserted.

        Args:
            observe: builds the policy's context; returns None if a hint could not be answered.
        """
        if not self._allowed():
            return False
        if self.give_pending():
            return True
        if self._policy is None or (now := observe()) is None:
            return False
        hint = self._policy.decide(now)
        return hint is not None and self._give(hint, now.position, now.trigger)

    def _allowed(self) -> bool:
        """Whether the thought has begun and no block or formula is open in it."""
        thought = self._context.thought
        return (
            self._context.phase == "thinking"
            and self._context.opened
            and not self._format.open_block(thought)
            and not self._format.in_latex(thought)
        )

    def _give(self, hint: Hint, position: Position, trigger: str) -> bool:
        """Returns False if the hint does not fit."""
        if position not in hint.positions:  # the policy's own position, at one of its triggers
            position = hint.positions[0]
        after_connective = position == "connective"
        text = hint.text if after_connective else hint.opening + hint.text
        join: Join = "connective" if after_connective else "paragraph"
        record = HintRecord(
            id=hint.id,
            category=hint.category,
            domain=hint.domain,
            position=position,
            trigger=trigger,
            round=sum(s.hint is not None for s in self._context.segments) + 1,
        )
        return self._context.splice_hint(text, join, record)
