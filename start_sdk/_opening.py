"""What a caller passes to a session: names become objects, and anything else is refused."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from start_sdk import plugins
from start_sdk._text.blocks import opening
from start_sdk.errors import ConfigError, PromptError
from start_sdk.formats import ReasoningFormat, detect
from start_sdk.protocols import Backend, Hint, HintPolicy, Interpreter, Message, Tool
from start_sdk.trace import Trace

T = TypeVar("T")

CONCLUDE = ("auto", "always", "never")
_discarding: set[asyncio.Task[None]] = set()
ROLES = ("system", "user", "assistant", "tool", "developer")


def of_type(name: str, value: object, kind: type[T]) -> T:
    """Returns a value of a class, or raises ConfigError."""
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    article = "an" if kind.__name__[0].lower() in "aeiou" else "a"
    raise ConfigError(f"{name} must be {article} {kind.__name__}, not {shown(value)}")


def shown(value: object) -> str:
    """A wrong value in a message: what it is, in a few words."""
    if isinstance(value, type):
        return f"the class {value.__name__}: create one with {value.__name__}()"
    text = repr(value)
    return f"{text if len(text) <= 60 else f'{text[:57]}...'} (of type {type(value).__name__})"


def opened_backend(model: Backend | str, backend: str | None) -> Backend:
    """The backend itself, or one that runs the model of that name."""
    if isinstance(model, str):
        name = plugins.backend_for(model) if backend is None else of_type("backend", backend, str)
        opened: Backend = plugins.load("backends", name)(model)
        return opened
    if backend is not None:
        raise ConfigError(
            f"backend={backend!r} runs a model by its name; this model is open already"
        )
    _expect("model", model, ("generate", "tokenizer", "capabilities"), "a model's name")
    return model


def opened_interpreter(interpreter: Interpreter | str | None) -> Interpreter | None:
    """The interpreter itself, or one of a plugin's name."""
    if isinstance(interpreter, str):
        opened: Interpreter = plugins.load("interpreters", interpreter)()
        return opened
    if interpreter is not None:
        _expect("interpreter", interpreter, ("open",), 'a name such as "python"')
    return interpreter


def opened_policy(hints: HintPolicy | str | None, *, runs_code: bool) -> HintPolicy | None:
    """The policy itself, or one of a plugin's name.

    Raises:
        ConfigError: it may give hints that open a block of code, and nobody would run it.
    """
    if hints is None:
        return None
    if isinstance(hints, str):
        named: HintPolicy = plugins.load("hints", hints)()
        hints = named
    _expect("hints", hints, ("decide", "triggers"), 'a name such as "end"')
    triggers: object = hints.triggers
    if not isinstance(triggers, Collection) or not all(isinstance(t, str) for t in triggers):
        raise ConfigError(f"hints: the triggers of a policy are texts, not {shown(triggers)}")
    if not runs_code:
        check_needs_no_interpreter(getattr(hints, "candidates", ()))
    return hints


def check_needs_no_interpreter(hints: Iterable[Hint]) -> None:
    """Raises ConfigError if one of the hints opens a block of code."""
    for hint in hints:
        if opens_block(hint):
            raise ConfigError(
                f"hint {hint.id!r} opens a block of code, and without an interpreter nobody runs "
                'it: pass interpreter="python"'
            )


def check_staged(hint: object, *, runs_code: bool) -> None:
    """Raises ConfigError if a hint cannot be inserted by itself."""
    staged = of_type("hint", hint, Hint)
    if staged.fields:
        names = ", ".join(staged.fields)
        raise ConfigError(f"hint {staged.id!r} has fields to fill in first: {names}")
    if not runs_code:
        check_needs_no_interpreter([staged])


def opens_block(hint: Hint) -> bool:
    """Whether the text of a hint ends with an opening fence."""
    return opening(hint.text.rpartition("\n")[2]) is not None


def format_of(
    backend: Backend, format: ReasoningFormat | None, template: Mapping[str, Any]
) -> ReasoningFormat:
    """How the model writes. Text from a server never holds control tokens: tags are text there."""
    format = format or detect(backend.tokenizer, template)
    return (
        format if backend.capabilities.exact else format.model_copy(update={"tag_is_token": False})
    )


def checked_options(template: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of a chat template, which a trace can hold."""
    if template is None:
        return {}
    if not isinstance(template, Mapping):
        raise ConfigError(f"template must be a dict of options, not {shown(template)}")
    options: dict[str, Any] = checked_json("template", dict(template))
    return options


def check_conclude(conclude: object) -> None:
    """Raises ConfigError if it is neither a mode nor a text to conclude with."""
    text = of_type("conclude", conclude, str)
    if not text.strip():
        raise ConfigError('conclude must be "auto", "always", "never" or a text to conclude with')
    meant = get_close_matches(text, CONCLUDE, cutoff=0.75)
    if meant and text not in CONCLUDE:
        raise ConfigError(f"conclude={text!r}: did you mean {meant[0]!r}?")


def check_tokenizer(trace: Trace, backend: Backend) -> None:
    """Raises ConfigError if a trace was written with another tokenizer."""
    if not (trace.segments and backend.capabilities.exact):
        return
    prompt = trace.segments[0]
    try:
        same = backend.tokenizer.decode(prompt.token_ids) == prompt.text
    except (IndexError, OverflowError, ValueError, TypeError):  # ids that it does not have
        same = False
    if not same:
        raise ConfigError(
            f"the trace was written with the tokenizer of {trace.model!r}, which is not that of "
            f"{backend.capabilities.model!r}"
        )


def discard(backend: Backend) -> None:
    """Closes a backend that could not be used, with or without a running event loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(backend.aclose())
    else:
        _discarding.add(task := loop.create_task(backend.aclose()))
        task.add_done_callback(_discarding.discard)


def checked_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """The tools, each with what a tool needs."""
    if isinstance(tools, str) or not isinstance(tools, Iterable):
        raise ConfigError(f"tools must be a list of tools, not {shown(tools)}")
    tools = tuple(tools)
    for item in tools:
        if inspect.isroutine(item):
            name = getattr(item, "__name__", "it")
            raise ConfigError(
                f"tools: {name} is a plain function: decorate it with @start_sdk.tool"
            )
        _expect("tools", item, ("call", "signature", "parameters"), "made with @start_sdk.tool")
    return tools


def read_files(files: Mapping[str, str | Path | bytes] | None) -> dict[str, bytes]:
    """The contents of files by their names in the kernel's working directory."""
    if files is None:
        return {}
    if not isinstance(files, Mapping):
        raise ConfigError(f"files must be a dict of names and contents, not {shown(files)}")
    contents: dict[str, bytes] = {}
    for name, source in files.items():
        if not _is_file_name(name):
            raise ConfigError(f"files: {name!r} is not a file name without folders")
        if isinstance(source, bytes):
            contents[name] = source
        elif isinstance(source, str | Path):
            try:
                contents[name] = Path(source).read_bytes()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise ConfigError(f"files: {name!r}: cannot read {str(source)!r}: {why}") from error
        else:
            raise ConfigError(f"files: {name!r} must be a path or bytes, not {shown(source)}")
    return contents


def _is_file_name(name: object) -> bool:
    try:
        fits = isinstance(name, str) and 0 < len(name.encode()) <= 255 and "\0" not in name
    except UnicodeEncodeError:
        return False
    return fits and name not in (".", "..") and PurePosixPath(str(name)).name == name


def checked_json(name: str, value: object) -> Any:
    """A value that a trace can hold, or ConfigError."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{name} must be JSON, finite and not nested too deeply: {error}"
        ) from error


def conversation(prompt: str | Sequence[Message], system: str | None) -> list[Message]:
    """The messages of a prompt, their contents as strings.

    Raises:
        PromptError: the prompt is empty, or no conversation.
    """
    if isinstance(prompt, str):
        prompt = [Message(role="user", content=prompt)]
    if not isinstance(prompt, Sequence):
        raise PromptError(f"a prompt is a text or a list of messages, not {shown(prompt)}")
    messages = [_message(message) for message in prompt]
    if not any(m["content"].strip() for m in messages):
        raise PromptError("the prompt is empty")
    if system is None or messages[0]["role"] in ("system", "developer"):
        return messages
    return [Message(role="system", content=system), *messages]


def _message(message: Any) -> Message:
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise PromptError(f"a message is a dict with role and content, not {shown(message)}")
    role, content = message["role"], message["content"]
    if role not in ROLES:
        raise PromptError(f"a message's role is one of {', '.join(ROLES)}, not {shown(role)}")
    if not isinstance(content, str):
        content = _joined(content)
    try:
        whole = checked_json("a message", {**message, "content": ""})
    except ConfigError as error:
        raise PromptError(str(error)) from error
    return {**whole, "content": content}  # type: ignore[typeddict-item]


def _joined(parts: Any) -> str:
    """The text of a content in parts, one below the other as vLLM joins them."""
    if not isinstance(parts, Sequence) or isinstance(parts, bytes):
        raise PromptError(
            f"a message's content is a text or a list of text parts, not {shown(parts)}"
        )
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else None
        if not isinstance(text, str) or part.get("type", "text") != "text":
            kind = part.get("type") if isinstance(part, Mapping) else part
            raise PromptError(f"only text parts can be read in a message's content, not {kind!r}")
        texts.append(text)
    return "\n".join(texts)


def _expect(name: str, value: object, attributes: Sequence[str], otherwise: str) -> None:
    if isinstance(value, type) or not all(hasattr(value, a) for a in attributes):
        kind = {"model": "a backend", "tools": "a tool", "hints": "a policy"}.get(name)
        kind = kind or "an interpreter"
        raise ConfigError(f"{name}: expected {kind} or {otherwise}, not {shown(value)}")
