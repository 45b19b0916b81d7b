"""What rendering a conversation needs, whoever runs the chat template: control text in a message
stays text, a misspelt option is an error, and the question is still there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from start_sdk._text.tags import TAGS
from start_sdk._text.unicode import printable
from start_sdk.errors import ConfigError, ModelError
from start_sdk.protocols import Message

_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE))
_GIVEN = {"messages", "add_generation_prompt", "raise_exception", "strftime_now", "bos_token",
    "eos_token", "pad_token", "unk_token", "tools", "documents"}  # fmt: skip
"""What a chat template always gets, or sessions do not use."""
_THINKING = tuple(tag for tags in TAGS for tag in tags)

Marks = dict[str, str]
"""The text that each mark stands for."""


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds each of some texts, the longest first; blank ones are left out."""
    names = sorted((text for text in texts if text.strip()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or "(?!)")


def hide(
    messages: Sequence[Message], control: re.Pattern[str]
) -> tuple[list[dict[str, Any]], Marks]:
    """The messages with marks in place of text that would become control tokens.

    Thinking tags in an assistant's message stay: its template needs them.

    Args:
        messages: their contents are strings.
        control: finds the texts of control tokens.
    """
    texts = [{k: printable(v) for k, v in m.items() if isinstance(v, str)} for m in messages]
    used = set("".join(text for fields in texts for text in fields.values()))
    free = (chr(c) for c in itertools.chain(*_PRIVATE_USE) if chr(c) not in used)
    marks: dict[str, str] = {}  # by the text, one each

    def hidden(text: str, kept: Sequence[str]) -> str:
        def mark(match: re.Match[str]) -> str:
            if match[0] in kept:
                return match[0]
            if match[0] not in marks:
                marks[match[0]] = next(free)
            return marks[match[0]]

        return control.sub(mark, text)

    made: list[dict[str, Any]] = []
    for message, fields in zip(messages, texts, strict=True):
        kept = _THINKING if message["role"] == "assistant" else ()
        replaced = {k: hidden(text, kept if k == "content" else ()) for k, text in fields.items()}
        made.append({**message, **replaced})
    return made, {mark: text for text, mark in marks.items()}


def split(rendered: str, marks: Marks) -> list[str]:
    """A rendered conversation, cut before and after each mark."""
    return re.split(f"([{''.join(marks)}])", rendered) if marks else [rendered]


def template_options(
    chat_template: str | None, template: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The options of a template; one that it does not read would do nothing, unnoticed.

    Raises:
        ConfigError: the chat template has no such option.
    """
    known = _variables(chat_template or "") if template else ()
    for name in template or ():
        if name not in known:
            raise ConfigError(
                f"template: the chat template has no option {name!r}; "
                f"it has {', '.join(known) or 'none'}"
            )
    return dict(template or {})


def check_rendered(messages: Sequence[dict[str, Any]], text: str) -> None:
    """Checks that a template has kept what was said: some expect lists of content parts, some know
    no system message, and neither says so. Thoughts of earlier turns are the template's own matter.

    Raises:
        ModelError: a message is not in what the template rendered.
    """
    rendered = " ".join(text.split())
    last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
    for i, message in enumerate(messages):
        role, said = message["role"], str(message["content"])
        if role == "assistant":
            said = _without_thought(said)
        if role == "tool" or " ".join(said.split()) in rendered:  # outputs may be written as JSON
            continue
        if i == last:
            raise ModelError("the chat template drops the question: it is not in what it renders")
        what = (
            f"the {role} message" if role in ("system", "developer") else f"an earlier {role} turn"
        )
        raise ModelError(f"the chat template drops {what}: it is not in what it renders")


def _without_thought(said: str) -> str:
    """What an assistant has said after its thought."""
    return min((said.rpartition(closing)[2] for _, closing in TAGS), key=len)


def _variables(template: str) -> list[str]:
    """The options that a chat template reads."""
    from jinja2 import Environment, meta

    parser = Environment(extensions=["jinja2.ext.loopcontrols"])  # noqa: S701  # renders nothing
    return sorted(meta.find_undeclared_variables(parser.parse(template)) - _GIVEN)
