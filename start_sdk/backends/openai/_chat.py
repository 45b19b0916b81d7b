"""Chat mode: messages go out, and the thought comes back in one of several places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from start_sdk.backends._http import Json
from start_sdk.protocols import Message

Way = Literal["continue_final_message", "prefix", "prefill"]
"""How a server is asked to continue the assistant's message: vLLM and SGLang take a field of the
request, DeepSeek and Mistral one of the message, llama.cpp and others just continue it."""
WAYS: tuple[Way, ...] = ("continue_final_message", "prefix", "prefill")

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"


def conversation(messages: Sequence[Message], written: str, way: Way | None) -> Json:
    """The fields of a request that continues what the assistant has written."""
    sent: list[dict[str, Any]] = [dict(message) for message in messages]
    if not written:
        return {"messages": sent}
    sent.append({"role": "assistant", "content": written})
    if way == "prefix":
        sent[-1]["prefix"] = True
    if way == "continue_final_message":
        return {"messages": sent, way: True, "add_generation_prompt": False}
    return {"messages": sent}


class ChatReader:
    """Puts thought and answer of a stream into one text, with tags around the thought.

    Args:
        written: what the assistant had written before.
        separate: whether a text without a thought before it is the answer. Else it may be a
            thought that calls belong to.
    """

    def __init__(self, written: str, *, separate: bool) -> None:
        self._inside = "<think>" in written and "</think>" not in written
        self._said = False  # something, in this answer
        self._separated = False  # the thought comes in a field of its own
        self._held: str | None = "" if separate and not written else None

    def read(self, choice: Json) -> str:
        """The text that an event adds.

        Raises:
            ValueError: the event is none of a chat.
        """
        delta = choice.get("delta") or {}
        if not delta and not self._said:  # some repeat the whole message at the end
            delta = choice.get("message") or {}
        if not isinstance(delta, dict):
            raise ValueError(f"a delta is {str(delta)[:80]!r}")
        within, content = _split(delta.get("content"))
        thought, text = _thought(delta) or within, content or str(delta.get("refusal") or "")
        said = ""
        self._said |= bool(thought or text)
        if thought:
            said = (self._held or "") + (thought if self._inside else OPEN + thought)
            self._inside = self._separated = True
            self._held = None
        if text and self._separated:
            said += CLOSE + text
            self._inside = self._separated = False
        elif text:
            said += self._begun(text)
        return said

    def rest(self) -> str:
        """What was held back at the end of the text."""
        held, self._held = self._held or "", None
        return OPEN + CLOSE + held if held.strip() else held

    def _begun(self, text: str) -> str:
        """Text that no thought came before: it is held until it is clear whether it opens one."""
        if self._held is None:
            return text
        self._held += text
        begins = self._held.lstrip()
        if "<think>".startswith(begins):
            return ""
        held, self._held = self._held, None
        return begins if begins.startswith("<think>") else OPEN + CLOSE + held


def _thought(delta: Json) -> str:
    """The thought of a delta. Some servers send it under two names; one of them counts."""
    for name in ("reasoning", "reasoning_content", "reasoning_text", "thinking"):
        value = delta.get(name)
        if isinstance(value, dict):
            value = value.get("content") or value.get("text")
        if value and isinstance(value, str):
            return value
    details: Any = delta.get("reasoning_details")
    parts = [part for part in details if isinstance(part, dict)] if _is_list(details) else []
    return "".join(str(part.get("text") or part.get("summary") or "") for part in parts)


def _split(content: Any) -> tuple[str, str]:
    """Thought and text of a message's content, which may be a list of parts (Mistral)."""
    if content is None or isinstance(content, str):
        return "", content or ""
    if not _is_list(content):
        raise ValueError(f"a message's content is {str(content)[:80]!r}")
    thought = text = ""
    for part in content:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            thought += "".join(_split(part.get("thinking") or part.get("text")))
        elif isinstance(part, dict):
            text += str(part.get("text") or "")
    return thought, text


def _is_list(value: Any) -> bool:
    return isinstance(value, list)
