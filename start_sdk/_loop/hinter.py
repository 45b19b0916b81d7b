"""The hints of one run: pending hints, hints from its policy, and how they are inserted."""

from __future__ import annotations

from collections.abc import Callable

from start_sdk._loop.context import Context
from start_sdk._text.blocks import opening
from start_sdk.errors import ConfigError, HintRefused, Refusal
from start_sdk.formats import Join
from start_sdk.protocols import Hint, HintContext, HintPolicy
from start_sdk.trace import HintRecord, Position

Pending = tuple[Hint, Position, str]
"""A pending hint, the position to record, and its trigger text."""


class Hinter:
    """Inserts hints into a context.

    Args:
        context: the context to insert into.
        policy: decides on hints, if there is one.
        runs_code: whether blocks are run, so that a hint that opens one needs a call.
        staged: a hint to insert first (`ReasoningSession.resume_hinted`).
    """

    def __init__(
        self,
        context: Context,
        policy: HintPolicy | None,
        *,
        runs_code: bool,
        staged: Pending | None = None,
    ) -> None:
        self._context = context
        self._policy = policy
        self._runs_code = runs_code
        self._staged = staged
        self._pending: list[Pending] = []

    @property
    def waiting(self) -> bool:
        """Whether a text from outside waits to be inserted."""
        return bool(self._pending)

    def add(self, text: str) -> None:
        """Queues a text from outside until it may be inserted."""
        hint = Hint(id="steer", text=text, category="Steer", domain="any", positions=("steer",))
        self._pending.append((hint, "steer", ""))

    async def insert_staged(self) -> None:
        """Inserts the staged hint, if there is one.

        Raises:
            HintRefused: it cannot be inserted where the trace was cut.
        """
        if self._staged is None:
            return
        (hint, position, trigger), self._staged = self._staged, None
        reader, context = self._context.reader, self._context
        refusal: Refusal | None = None
        if context.phase != "thinking" or not context.opened:
            refusal = "no thought"
        elif reader.block is not None:
            refusal = "open block"
        elif reader.in_formula and position != "end":  # at an end nothing closes it any more
            refusal = "open formula"
        refusal = refusal or await self._insert(hint, position, trigger)
        if refusal:
            raise HintRefused(hint.id, refusal)

    async def insert_pending(self) -> bool:
        """Inserts texts from outside, up to one that opens a block; returns whether it did any."""
        reader, given = self._context.reader if self._pending else None, False
        while reader and self._pending and self._open and not reader.in_formula:
            if reader.block is not None:
                break
            given |= await self._insert(*self._pending.pop(0)) is None
            reader = self._context.reader
        return given

    async def insert(self, observe: Callable[[], HintContext]) -> bool:
        """Inserts a pending text, or else the policy's hint; returns whether any was inserted.

        Called at an event, so neither a block nor a formula is open.

        Args:
            observe: builds what the policy is shown.
        """
        if not self._open:
            return False
        if self._pending:
            return await self._insert(*self._pending.pop(0)) is None
        if self._policy is None:
            return False
        now = observe()
        hint = self._policy.decide(now)
        if not isinstance(hint, Hint | None):
            made = f"{type(hint).__name__}, not a Hint or None"
            raise ConfigError(f"the hint policy {self._policy!r} returned a {made}")
        return hint is not None and await self._insert(hint, now.position, now.trigger) is None

    @property
    def _open(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._context.phase == "thinking" and self._context.opened

    async def _insert(self, hint: Hint, position: Position, trigger: str) -> Refusal | None:
        """Returns why it cannot be inserted, None if it was."""
        budget = self._context.budget
        opens_block = opening(hint.text.rpartition("\n")[2]) is not None
        if opens_block and not self._runs_code:
            raise ConfigError(f"hint {hint.id!r} opens a block of code: pass an interpreter")
        if opens_block and budget.calls_left(position) <= 0:
            return "no calls left"
        if budget.room(thinking=True) <= 0:
            return "no tokens left"  # to answer it with
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
        fits = await self._context.splice_hint(text, join, record)
        return None if fits else "no tokens left"
