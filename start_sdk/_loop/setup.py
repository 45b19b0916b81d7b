"""What all runs of a session share."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field

from start_sdk._loop.budget import Limits
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.timing import EngineClock
from start_sdk.formats import ReasoningFormat
from start_sdk.generation import Sampling
from start_sdk.protocols import Backend, HintPolicy, Interpreter, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Backend, tools, policy and limits of a session; immutable."""

    backend: Backend
    interpreter: Interpreter | None
    tools: tuple[Tool, ...]
    hints: HintPolicy | None
    format: ReasoningFormat
    limits: Limits
    conclude: str
    kept: LazyKernel | None
    clock: EngineClock = field(default_factory=EngineClock)

    def hash(self, sampling: Sampling) -> str:
        """Hash of everything that shapes a run except its prompt and seed."""
        config = {
            "model": self.backend.capabilities.model,
            "sampling": sampling.model_dump(exclude={"seed"}),
            "limits": self.limits.model_dump(),
            "format": self.format.model_dump(),
            "conclude": self.conclude,
            # A default repr contains an address, which differs from run to run.
            "hints": re.sub(r" at 0x\w+", "", repr(self.hints)),
            "interpreter": re.sub(r" at 0x\w+", "", repr(self.interpreter)),
        }
        if self.tools:  # only with tools, so that hashes of earlier runs stay valid
            config["tools"] = re.sub(r" at 0x\w+", "", repr(self.tools))
        return hashlib.blake2b(
            json.dumps(config, sort_keys=True).encode(), digest_size=8
        ).hexdigest()
