"""What all runs of a session share."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from start_sdk._loop.budget import Limits
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.timing import EngineClock
from start_sdk._text.inert import inert
from start_sdk.errors import ConfigError
from start_sdk.formats import ReasoningFormat
from start_sdk.generation import Sampling
from start_sdk.protocols import Backend, HintPolicy, Interpreter, Message, Tool
from start_sdk.trace import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Backend, tools, policy and limits of a session; immutable."""

    backend: Backend
    interpreter: Interpreter | None
    tools: tuple[Tool, ...]
    files: Mapping[str, bytes]
    hints: HintPolicy | None
    format: ReasoningFormat
    limits: Limits
    conclude: str
    system: str | None
    template: Mapping[str, Any]
    kept: LazyKernel | None
    clock: EngineClock = field(default_factory=EngineClock)

    def usable(self) -> Self:
        """The same, without what a backend that cannot continue a text has no use for.

        Warns in one line if code was to be run or hints were to be given.
        """
        capabilities = self.backend.capabilities
        if capabilities.can_continue:
            return self
        if self.hints or self.interpreter:
            warnings.warn(
                f"{capabilities.model}: no code is run and no hint is inserted: its thoughts "
                f"cannot be continued ({capabilities.note})",
                stacklevel=3,
            )
        return replace(
            self, interpreter=None, tools=(), files={}, hints=None, conclude="never", kept=None
        )

    def rendered(self, messages: Sequence[Message]) -> Segment:
        """The prompt that a conversation becomes."""
        tokenizer = self.backend.tokenizer
        asked = self.format.describe_tools(messages, self.tools)
        if not self.backend.capabilities.exact:
            asked = [Message(role=m["role"], content=inert(m["content"])) for m in asked]
        ids = tuple(tokenizer.render(asked, self.template))
        text = tokenizer.decode(ids)
        return Segment(source="prompt", text=text, token_ids=ids, phase="prompt")

    def settings(self, sampling: Sampling) -> dict[str, Any]:
        """Everything that shapes a run except its prompt and seed, as JSON."""
        settings: dict[str, Any] = {
            "model": self.backend.capabilities.model,
            "sampling": sampling.model_dump(exclude={"seed"}),
            "limits": self.limits.model_dump(),
            "format": self.format.model_dump(mode="json"),
            "conclude": self.conclude,
            "hints": _named(self.hints),
            "interpreter": _named(self.interpreter),
        }
        optional = {
            "tools": [_named(tool) for tool in self.tools],
            "files": {name: _digest(content) for name, content in self.files.items()},
            "system": self.system,
            "template": dict(self.template),
        }
        return settings | {name: value for name, value in optional.items() if value}

    def check(self, sampling: Sampling) -> None:
        """Raises ConfigError if the backend cannot sample like this."""
        capabilities = self.backend.capabilities
        for name in sorted(capabilities.lacks):
            value = getattr(sampling, name)
            if value != getattr(Sampling(), name):
                raise ConfigError(
                    f"{capabilities.model}: its backend does not take {name}={value!r}"
                )


def _named(value: object) -> str:
    """A repr without the address that a default one has, which differs from run to run."""
    return re.sub(r" at 0x\w+", "", repr(value))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
