"""How a model family writes: where its thought ends, how it writes a call, how texts are joined.

Everything here is a pure function of text. The session decides what happens; this module decides
how it is written.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from start_sdk.protocols import Message, Tokenizer, Tool
from start_sdk.trace import Settings

FENCE_END = "```\n"
"""The stop text at which a session checks whether a code block was closed."""

TOOLS = """\
Python code in your thoughts can call these functions. They are there already, without an import:

```python
{}
```"""
"""The part of the prompt that lists the host tools."""

Join = Literal["connective", "paragraph", "line"]

# A fence at the end of a line. Text may come before it, since hints end in "...```python".
_FENCE = re.compile(r"(?<!`)(`{3,})([^\s`]*)[ \t]*\r?$")
_LATEX_PAIRS = (("\\[", "\\]"), ("\\(", "\\)"), ("\\begin{", "\\end{"))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `end` is None while it is open."""

    language: str
    ticks: int
    start: int
    end: int | None = None


class ReasoningFormat(Settings):
    """A model family's way of writing.

    Attributes:
        think: the tags around a thought, or None for a model that thinks without tags.
        answer_markers: for a model without tags, the texts that open the answer.
        languages: info strings of the blocks that are run.
    """

    name: str = "think"
    think: tuple[str, str] | None = ("<think>", "</think>")
    answer_markers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("python", "python3", "py")

    @model_validator(mode="after")
    def _ends(self) -> ReasoningFormat:
        if not self.think and not self.answer_markers:
            raise ValueError("a format without tags needs answer_markers, or no thought ever ends")
        return self

    @staticmethod
    def detect(tokenizer: Tokenizer) -> ReasoningFormat:
        """Returns THINK if the chat template or the control tokens have its tags, else PLAIN."""
        tag = "</think>"
        if tag in (tokenizer.chat_template or "") or len(tokenizer.encode(tag, control=True)) == 1:
            return THINK
        return PLAIN

    @property
    def end_stops(self) -> tuple[str, ...]:
        """Texts that end the thought."""
        return (self.think[1],) if self.think else self.answer_markers

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

    def call(self, text: str) -> str | None:
        """Returns the code of a block closed at the very end of `text`; None if none or empty.

        `text` is everything that model and hints wrote since the last output: a block is usually
        opened by a hint and closed by the model.
        """
        last = _last_block(text)
        if last is None or last.end is None or text[last.end :].strip("`\r\n \t"):
            return None
        code = text[last.start : last.end]
        return code if code.strip() and last.language in self.languages else None

    @staticmethod
    def open_block(text: str) -> Block | None:
        """The fenced block that is open at the end of `text`."""
        last = _last_block(text)
        return last if last is not None and last.end is None else None

    @staticmethod
    def in_latex(text: str) -> bool:
        """Whether LaTeX is open at the end of `text`. A price ("$5") does not open any."""
        if any(text.count(a) > text.count(b) for a, b in _LATEX_PAIRS) or text.count("$$") % 2:
            return True
        inline = text.rpartition("\n")[2].replace("$$", "").replace("\\$", "")
        return inline.count("$") % 2 == 1 and not re.search(r"\$\d[\d.,]*(?=[^$]*$)", inline)

    @staticmethod
    def in_quote(text: str) -> bool:
        """Whether `text` ends inside a quotation, e.g. of the problem: quotation marks are open on
        its last line, or that line begins with ">"."""
        line = text.rpartition("\n")[2]
        opened = line.count('"') % 2 == 1 or line.count("“") > line.count("”")
        return opened or line.lstrip().startswith(">")

    @staticmethod
    def tell_tools(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
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

_BOX = "\\boxed"
# With the formula that opens around it: a hint that replaces the box must not be inside it.
_BOXES = (
    _BOX,
    *(f"{opener}{gap}{_BOX}" for opener in ("$", "$$", "\\[", "\\(") for gap in ("", " ", "\n")),
)
PLAIN = ReasoningFormat(name="plain", think=None, answer_markers=("**Final Answer**", *_BOXES))
"""No tags: QwQ-32B-Preview, whose answer opens with a heading or a box, and other chat models."""


def _stub(tool: Tool) -> str:
    """A tool as the prompt shows it: its signature and the first paragraph of its docstring."""
    about = textwrap.indent(tool.description.partition("\n\n")[0].strip(), "    ")
    return f'def {tool.name}{tool.signature}:\n    """{about.strip()}"""'


def _last_block(text: str) -> Block | None:
    """The last fenced block to open in `text`."""
    block: Block | None = None
    position = 0
    for line in text.split("\n"):
        match = _FENCE.search(line)
        start, position = position, position + len(line) + 1
        if match is None:
            continue
        ticks, language = len(match[1]), match[2].lower()
        alone = not line[: match.start()].strip()
        is_open = block is not None and block.end is None
        if is_open and block is not None and not language:
            if alone and ticks >= block.ticks:
                block = Block(block.language, block.ticks, block.start, start)
        elif alone or (language and not is_open):
            # Inside an open block, a fence with a language opens a new block: models forget to
            # close blocks, and START's debug hint leaves one open deliberately.
            block = Block(language, ticks, position)
    return block
