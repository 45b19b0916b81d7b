"""How a model family writes: where its thought ends, how a call is shown, how texts are joined.

Everything here is a pure function of text. What a text says is the reader's business
(`start_sdk/_text/reader.py`); the session decides what happens.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Literal

from pydantic import model_validator

from start_sdk._text.events import Event
from start_sdk._text.reader import Reader
from start_sdk.protocols import Message, Tool
from start_sdk.values import Settings

TOOLS = """\
Python code in your thoughts can call these functions. They are there already, without an import:

```python
{}
```"""
"""The part of the prompt that lists the host tools."""

Join = Literal["connective", "paragraph", "line"]


class ReasoningFormat(Settings):
    """A model family's way of writing.

    Attributes:
        name: "think" (thoughts in tags) or "plain" (no tags).
        think: the tags around a thought, or None for a model that thinks without tags.
        tag_is_token: whether the closing tag counts only as the one added token that it is. Not so
            where the tag is ordinary text, or where a server returns text instead of ids.
        answer_markers: for a model without tags, the texts that open the answer.
        languages: languages of the blocks that are run, in lower case.
    """

    name: Literal["think", "plain"] = "think"
    think: tuple[str, str] | None = ("<think>", "</think>")
    tag_is_token: bool = True
    answer_markers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("python", "python3", "py")

    @model_validator(mode="after")
    def _ends(self) -> ReasoningFormat:
        if not self.think and not self.answer_markers:
            raise ValueError("a format without tags needs answer_markers, or no thought ever ends")
        return self

    @property
    def end_tag(self) -> str:
        """The text that ends a thought; "" without tags."""
        return self.think[1] if self.think else ""

    def runs(self, event: Event) -> bool:
        """Whether an event is a block of code that is run."""
        runnable = event.kind == "block" and event.text in self.languages
        return runnable and bool(event.code.strip())

    def closing(self) -> str:
        """The text that a session writes to force the end of a thought, after a line break."""
        return f"{self.think[1]}\n\n" if self.think else f"{self.answer_markers[0]}\n\n"

    def thinks_after(self, prompt: str) -> bool:
        """Whether generation starts inside a thought: not if the prompt has already closed it."""
        return not (self.think and prompt.rstrip().endswith(self.think[1]))

    def opened(self, prompt: str, thought: str) -> bool:
        """Whether a thought has begun. If the prompt does not open it, the model does (Qwen3), and
        nothing may be inserted before its opening tag."""
        tag = self.think[0] if self.think else ""
        return not tag or prompt.rstrip().endswith(tag) or len(thought) > len(tag)

    @staticmethod
    def describe_tools(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
        """Adds the tools to a conversation: after the text of the system message if it begins with
        one, else before the first user message. (Not every family has a system message.)"""
        result = [Message(**message) for message in messages]
        if not tools:
            return result
        text = TOOLS.format("\n\n".join(map(_stub, tools)))
        first = next((m for m in result if m["role"] in ("system", "user")), result[0])
        parts = (first["content"], text) if first["role"] == "system" else (text, first["content"])
        first["content"] = "\n\n".join(parts)
        return result

    @staticmethod
    def joiner(tail: str, join: Join) -> str:
        """The text to put between `tail` and a text that is spliced in after it."""
        if join == "line":
            return "" if not tail or tail.endswith("\n") else "\n"
        if join == "paragraph":
            breaks = len(tail) - len(tail.rstrip("\n"))
            return "\n" * (2 - min(breaks, 2)) if tail.strip() else ""
        if not tail or tail[-1].isspace() or tail[-1] in "，、":
            return ""
        if "\u4e00" <= tail[-1] <= "\u9fff":
            return "，"
        return ", " if tail[-1].isalnum() else " "

    @staticmethod
    def show_output(text: str) -> str:
        """A cell's output as the model reads it, in a fence longer than any fence in it."""
        runs = [len(run) for run in re.findall(r"`{3,}", text)]
        fence = "`" * max([3, *(n + 1 for n in runs)])
        body = text if text.strip() else "(no output)"
        return f"{fence}output\n{body}\n{fence}\n"


THINK = ReasoningFormat()
"""Thoughts in <think> tags: Qwen3, QwQ-32B, DeepSeek-R1 and its distilled models."""

PLAIN = ReasoningFormat(
    name="plain",
    think=None,
    tag_is_token=False,
    answer_markers=("**Final Answer**", "\\boxed"),
)
"""No tags: QwQ-32B-Preview, whose answer opens with a heading or a box, and other chat models."""


def _stub(tool: Tool) -> str:
    """A tool as the prompt shows it: its signature and the first paragraph of its docstring."""
    about = textwrap.indent(tool.description.partition("\n\n")[0].strip(), "    ")
    return f'def {tool.name}{tool.signature}:\n    """{about.strip()}"""'


def in_block(text: str, format: ReasoningFormat | None = None) -> bool:
    """Whether a fenced block is open at the end of a text."""
    reader = Reader(format or THINK)
    reader.feed(text)
    return reader.block is not None
