"""A character tokenizer, for chats and tests where no real tokenizer is available."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from start_sdk._text.unicode import printable
from start_sdk.errors import ConfigError
from start_sdk.protocols import Message

EOS = "<|im_end|>"
START = "<|im_start|>"
_CONTROL = (START, EOS, "<think>", "</think>")
_FIRST_CONTROL = 0x110000  # the first number after the last Unicode code point


class CharTokenizer:
    """One token per character, four control tokens, and a ChatML-style chat template.

    Args:
        opens_thought: whether a rendered conversation ends with an open thought.
        thinks: whether the template knows of thoughts at all.
    """

    eos_ids = frozenset({_FIRST_CONTROL + _CONTROL.index(EOS)})
    control_ids = frozenset(range(_FIRST_CONTROL, _FIRST_CONTROL + len(_CONTROL)))

    def __init__(self, *, opens_thought: bool = True, thinks: bool = True) -> None:
        self._opening = "<think>\n" if opens_thought and thinks else ""
        self._thinks = thinks

    @property
    def chat_template(self) -> str | None:
        """Not Jinja: `render` is Python. It says which tags there are."""
        return "<|im_start|>assistant\n" + ("<think>\n ... </think>" if self._thinks else "")

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        text = printable(text)
        if not control:
            return [ord(c) for c in text]
        ids: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, _CONTROL))})", text):
            known = part in _CONTROL
            ids += [_FIRST_CONTROL + _CONTROL.index(part)] if known else [ord(c) for c in part]
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        first = _FIRST_CONTROL
        return "".join(chr(i) if i < first else _CONTROL[i - first] for i in token_ids)

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        return lambda token_id: self.decode([token_id])

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        if template:
            raise ConfigError(
                f"template: there is no chat template with {', '.join(template)} here"
            )
        ids: list[int] = []
        for m in messages:
            start, role, end = (
                self.encode(t, control=True) for t in (START, f"{m['role']}\n", f"{EOS}\n")
            )
            ids += [*start, *role, *self.encode(m["content"]), *end]
        return ids + self.encode(f"{START}assistant\n{self._opening}", control=True)

    def messages(self, token_ids: Sequence[int]) -> tuple[list[Message], str]:
        """The messages passed to `render`, and what the assistant has written since.

        Turns are separated by control tokens, so no text can pretend to be a turn.
        """
        start, end = (_FIRST_CONTROL + _CONTROL.index(t) for t in (START, EOS))
        turns: list[list[int]] = []
        for token_id in token_ids:
            if token_id == start:
                turns.append([])
            elif turns:
                turns[-1].append(token_id)
        found: list[Message] = []
        for turn in turns[:-1]:
            body = turn[: turn.index(end)] if end in turn else turn
            role, _, content = self.decode(body).partition("\n")
            found.append(Message(role=role, content=content))
        return found, self.decode(turns[-1]).partition("\n")[2] if turns else ""
