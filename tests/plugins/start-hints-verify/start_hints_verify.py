"""A policy of someone else's, with a trigger and a text of its own."""

from dataclasses import dataclass

from start_sdk import Hint, Moment

BY_CODE = Hint(
    id="by-code",
    text="and Python does that without mistakes.\n```python",
    category="Verification",
    domain="math",
    places=("connective",),
)


@dataclass(frozen=True)
class WhereItVerifies:
    """Speaks once, where the model says that it should verify something."""

    triggers: tuple[str, ...] = ("verify",)

    def decide(self, moment: Moment) -> Hint | None:
        asked = moment.trigger in self.triggers and not moment.trace.hints
        return BY_CODE if asked else None
