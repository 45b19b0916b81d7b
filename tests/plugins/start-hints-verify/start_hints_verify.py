"""A policy of someone else's, with a trigger and a text of its own."""

from dataclasses import dataclass

from start_sdk import Hint, HintContext

BY_CODE = Hint(
    id="by-code",
    text="and Python does that without mistakes.\n```python",
    category="Verification",
    domain="math",
    positions=("connective",),
)


@dataclass(frozen=True)
class WhereItVerifies:
    """Speaks once, where the model says that it should verify something."""

    triggers: tuple[str, ...] = ("verify",)

    def decide(self, context: HintContext) -> Hint | None:
        asked = context.trigger in self.triggers and not context.trace.hints
        return BY_CODE if asked else None
