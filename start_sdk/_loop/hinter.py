"""The hints of one run: those that wait, those that its policy gives, and how they are put in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from start_sdk._loop.context import Context
from start_sdk.formats import ReasoningFormat
from start_sdk.protocols import Hint, HintContext, HintPolicy
from start_sdk.trace import HintRecord, Position

Pending = tuple[Hint, Position, str]
"""A hint that waits, the position to record, and the text at which it is put."""


class Hinter:
    """Puts hints into a context.

    Args:
        context: where they go.
        format: where none may stand.
        policy: who is asked for hints, if anyone.
        pending: hints that are to be given first, one behind the other.
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
        """Whether a hint waits and may be given now."""
        return bool(self._pending) and self._free()

    def add(self, text: str) -> None:
        """Lets a text from outside wait for its position."""
        hint = Hint(id="steer", text=text, category="Steer", domain="any", positions=("steer",))
        self._pending.append((hint, "steer", ""))

    def give_pending(self) -> bool:
        """Gives all that waits, up to one that opens a block; whether anything was given."""
        given = False
        while self.due:
            given |= self._give(*self._pending.pop(0))
        return given

    def give(self, look: Callable[[], HintContext | None]) -> bool:
        """Gives what waits, or else what the policy decides; returns whether it did.

        Args:
            look: what the policy is shown; None where a hint could not be answered any more.
        """
        if not self._free():
            return False
        if self.give_pending():
            return True
        if self._policy is None or (now := look()) is None:
            return False
        hint = self._policy.decide(now)
        return hint is not None and self._give(hint, now.position, now.trigger)

    def _free(self) -> bool:
        """In a thought that has begun, and not inside a block or a formula."""
        thought = self._context.thought
        return (
            self._context.phase == "thinking"
            and self._context.opened
            and not self._format.open_block(thought)
            and not self._format.in_latex(thought)
        )

    def _give(self, hint: Hint, position: Position, trigger: str) -> bool:
        """False if there is no room for it."""
        if position not in hint.positions:  # a policy's own position, behind one of its triggers
            position = hint.positions[0]
        behind = position == "connective"
        text = hint.text if behind else hint.opening + hint.text
        record = HintRecord(
            id=hint.id,
            category=hint.category,
            domain=hint.domain,
            position=position,
            trigger=trigger,
            round=sum(s.hint is not None for s in self._context.segments) + 1,
        )
        return self._context.splice_hint(text, "connective" if behind else "paragraph", record)
