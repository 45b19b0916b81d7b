"""Functions of the host that code in a cell can call: `@tool`."""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
import types
import typing
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_json

from start_sdk.errors import ConfigError, ToolError
from start_sdk.protocols import Hint, Tool
from start_sdk.tools._threads import in_thread

P = ParamSpec("P")
R = TypeVar("R")

LARGEST = 1_000_000
"""The most that `max_chars` can be: a message to or from a kernel has a limit."""


class FunctionTool(Generic[P, R]):
    """A function as a tool; it can still be called as a function. See `tool` for the arguments."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        timeout: float = 30.0,
        max_calls: int = 10_000,
        max_chars: int = 100_000,
        hints: Sequence[Hint] = (),
    ) -> None:
        self.function = function
        update_wrapper(self, function)
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.timeout = timeout
        self.max_calls = max_calls
        self.max_chars = max_chars
        self.hints = tuple(hints)
        self.description = inspect.getdoc(function) or ""
        if not self.description:
            raise ConfigError(
                f"tool {self.name!r} has no docstring: the model is told what it does"
            )
        hinted = _hints(self.name, function)
        parameters = _parameters(self.name, function, hinted)
        shown = [p.replace(annotation=_Shown(spell(hinted[p.name]))) for p in parameters]
        returns = _Shown(spell(hinted["return"])) if "return" in hinted else inspect.Signature.empty
        self.signature = str(inspect.Signature(shown, return_annotation=returns))
        self._arguments = _model(self.name, parameters, hinted)
        self.parameters: dict[str, JsonValue] = self._arguments.model_json_schema()
        check(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name}{self.signature})"

    async def call(self, arguments: dict[str, JsonValue]) -> object:
        """See `Tool.call`. A plain function runs in a thread, an `async` one in the event loop."""
        values = self._checked(arguments)
        work: Any = partial(self.function, **values)
        try:
            if inspect.iscoroutinefunction(self.function):
                return await work()
            return await in_thread(work)
        except ToolError:
            raise
        except (Exception, SystemExit) as error:
            # So that a TypeError in the function does not look like one of its arguments.
            raise ToolError(format_error(error)) from error

    def _checked(self, arguments: dict[str, JsonValue]) -> dict[str, Any]:
        try:
            # As JSON: there, text is a date and a list is a tuple, but "5" is no number.
            found = self._arguments.model_validate_json(to_json(arguments), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        else:
            fields = type(found).model_fields
            return {str(fields[f].alias): getattr(found, f) for f in found.model_fields_set}
        where = "".join(f"[{i}]" if isinstance(i, int) else f".{i}" for i in first["loc"]).strip(
            "."
        )
        kind, value = first["type"], first["input"]
        got = "" if kind in ("missing", "extra_forbidden") else f", not {_short(value)}"
        wrong = TypeError if got == "" or kind.endswith("_type") else ValueError
        said = {"missing": "is missing", "extra_forbidden": "is not known"}.get(kind, first["msg"])
        said = re.sub(r"^(Input|Value error,) ", "", said)
        raise wrong(f"{self.name}(): argument {where} {said}{got}")


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    timeout: float = 30.0,
    max_calls: int = 10_000,
    max_chars: int = 100_000,
    hints: Sequence[Hint] = (),
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float = 30.0,
    max_calls: int = 10_000,
    max_chars: int = 100_000,
    hints: Sequence[Hint] = (),
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Makes a tool of a function: code in a cell of a session that lists it can call it.

    Type hints and docstring become what the model is told and what arguments are checked against.
    The function runs in this process, with its rights: a plain one in a thread, an `async` one in
    the event loop. It returns what JSON knows, or pydantic models. What it raises is raised in the
    cell, as a ToolError with type and text.

    Args:
        function: with a docstring, and a type hint for each parameter.
        name: in the cell; the function's own by default.
        timeout: seconds that a call may take. Then the cell gets a TimeoutError; an `async`
            function is cancelled, the thread of another one is left to itself.
        max_calls: calls per run of a session.
        max_chars: characters of JSON that arguments and answer may have each, at most 1,000,000.
        hints: for a policy, e.g. `BeforeEnd(hints=my_tool.hints)`.

    Raises:
        ConfigError: it cannot be a tool; the reason, in one line.
    """

    def make(function: Callable[P, R]) -> FunctionTool[P, R]:
        return FunctionTool(
            function,
            name=name,
            timeout=timeout,
            max_calls=max_calls,
            max_chars=max_chars,
            hints=hints,
        )

    return make if function is None else make(function)


def check(tool: Tool) -> None:
    """Raises ConfigError if something cannot be a tool."""
    name = tool.name
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigError(f"a tool is called by its name in Python: {name!r} is none to call")
    if hasattr(builtins, name):
        raise ConfigError(f"tool {name!r} would hide Python's own {name!r}: give it another name")
    if not tool.timeout > 0:
        raise ConfigError(f"tool {name!r}: timeout is in seconds and above 0, not {tool.timeout!r}")
    if tool.max_calls < 1:
        raise ConfigError(f"tool {name!r}: max_calls must be 1 or more, not {tool.max_calls!r}")
    if not 1 <= tool.max_chars <= LARGEST:
        raise ConfigError(f"tool {name!r}: max_chars is 1 to {LARGEST:,}, not {tool.max_chars!r}")
    try:
        compile(f"def {name}{tool.signature}: ...", "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"tool {name!r}: its signature {tool.signature!r} is none") from error


def format_error(error: BaseException) -> str:
    """An error in one text for a cell: type and message, without folders of this machine."""
    try:
        text = str(error)
    except Exception:
        text = "(it has no text)"
    text = re.sub(r"(?<![\w:/.])/(?:[\w.+~@%-]+/)+(?=[\w.+~@%-])", "", text)
    text = text.encode(errors="replace").decode()  # half a character can be in no trace
    return f"{type(error).__name__}: {_short(text, 1000)}" if text else type(error).__name__


def spell(hint: Any) -> str:
    """A type as a model shall read it: names without modules, pydantic models by their fields."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return spell(args[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(spell, args))
    if hint in (None, type(None)):
        return "None"
    if hint is ...:
        return "..."
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        fields = hint.model_fields.items()
        return f"{{{', '.join(f'{n!r}: {spell(f.annotation)}' for n, f in fields)}}}"
    name = getattr(origin or hint, "__name__", None) or str(hint)
    return f"{name}[{', '.join(map(spell, args))}]" if args else name


class _Shown:
    """An annotation that is printed as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(f"tool {name!r}: its type hints cannot be read: {error}") from error


def _parameters(
    name: str, function: Callable[..., Any], hinted: dict[str, Any]
) -> list[inspect.Parameter]:
    found = list(inspect.signature(function).parameters.values())
    for p in found:
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            raise ConfigError(f"tool {name!r}: {p} cannot be passed by name: only plain parameters")
        if p.name not in hinted:
            raise ConfigError(f"tool {name!r}: its parameter {p.name!r} has no type hint")
    return found


def _model(
    name: str, parameters: list[inspect.Parameter], hinted: dict[str, Any]
) -> type[BaseModel]:
    """What arguments are checked against. Its fields have numbers: any parameter's name will do."""
    fields: dict[str, Any] = {}
    for i, p in enumerate(parameters):
        default = ... if p.default is p.empty else p.default if _is_json(p.default) else None
        fields[f"p{i}"] = (hinted[p.name], Field(default, alias=p.name))
    try:
        made: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        made.model_json_schema()
    except (PydanticUserError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"tool {name!r}: its parameters cannot be JSON: {reason}") from error
    return made


def _is_json(value: object) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


def _short(value: object, most: int = 80) -> str:
    text = value if isinstance(value, str) and most > 80 else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
