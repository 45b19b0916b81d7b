"""What a generation is asked for, and what comes of it: sampling, watches, chunks, capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from pydantic import ConfigDict, Field, JsonValue

from start_sdk._text.events import Event, Step
from start_sdk.values import Settings

__all__ = ["Capabilities", "Chunk", "Event", "Sampling", "Step", "Stop", "Watch"]


class Sampling(Settings):
    """How tokens are sampled. A token's noise depends only on (seed, position).

    Args:
        temperature: 0 is greedy. The defaults of this and `top_p` are the paper's (START, 3.4).
        top_p: keep the smallest set of likeliest tokens with this probability mass; 1 keeps all.
        top_k: keep this many of the likeliest tokens; 0 keeps all.
        min_p: keep tokens with at least this share of the likeliest token's probability.
        repetition_penalty: divides positive logits, and multiplies negative ones, of tokens that
            are in the context already (CTRL, arXiv 1909.05858, section 4.1); 1 changes nothing.
        seed: of the noise.
        logprobs: whether traces hold the log probability of each sampled token.
        extra: fields for one engine, under its own names.

    Raises:
        ConfigError: a value is out of range, or a name is unknown.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    temperature: Annotated[float, Field(ge=0, le=100)] = 0.6
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    top_k: Annotated[int, Field(ge=0, lt=2**31)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    logprobs: bool = False
    extra: dict[str, JsonValue] = Field(default_factory=dict)


class Watch(Protocol):
    """Reads a generation's text as it is sampled, and says where to stop. `Continuation` calls it,
    on the thread of the generation."""

    @property
    def offset(self) -> int:
        """Characters read so far."""
        ...

    def feed(self, text: str, token_ids: Sequence[int], *, control: bool) -> Step:
        """Reads the text that tokens complete.

        Args:
            text: follows what was read before.
            token_ids: one, or those of a character that is split over several.
            control: it is the text of one added token.

        Returns:
            the events to stop at, and the offset before which nothing can be withheld any more.
        """
        ...

    def finish(self) -> Step:
        """The events of the text's end: the model sampled an end-of-sequence token."""
        ...


@dataclass(frozen=True, slots=True)
class Stop:
    """Tokens withheld from an event on, up to the next one. The caller appends or drops them."""

    event: Event | None
    """None for the end-of-sequence token."""
    token_ids: tuple[int, ...] = ()
    text: str = ""
    """May begin before the event: tokens are never split."""
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a generation. Only the last chunk of a generation has a reason."""

    token_ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[float, ...] | None = None
    reason: Literal["eos", "stop", "length"] | None = None
    stops: tuple[Stop, ...] = ()
    """What is withheld, in order. For "eos" the last one holds the end-of-sequence token."""
    cached: int | None = None
    """On the last chunk: prefix tokens whose cache rows were reused; None if not reported."""

    @property
    def withheld_ids(self) -> tuple[int, ...]:
        """The ids of all stops."""
        return tuple(i for stop in self.stops for i in stop.token_ids)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and which model it runs."""

    model: str
    exact: bool = True
    """True if it returns the ids it sampled; False if it returns only text."""
    logprobs: bool = True
    seeded: bool = True
    can_continue: bool = True
    """False if it cannot continue a text that was begun: then a session stops nowhere in a thought,
    runs no code and inserts no hint."""
    lacks: frozenset[str] = frozenset()
    """Fields of `Sampling` that it cannot obey: a session refuses any value but the default."""
    note: str = ""
    """Device and number format, for display."""
