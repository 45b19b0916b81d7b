"""Text that a server cannot take for control."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"<(?=\|[^<>|\n]{1,60}\|>|/?[A-Za-z_][\w.-]{0,40}>|</?SYS>>)|\[(?=/?INST\])|◁(?=/?think▷)"
)


def inert(text: str) -> str:
    """A text with a zero-width space inside whatever looks like a control token of some family.

    For backends that send text: the server encodes it, and would make tokens of "<|im_end|>" in a
    tool's output or in a question. Where ids are sent, such text is encoded as ordinary tokens.
    """
    return _CONTROL.sub(lambda match: match[0] + "\u200b", text)
