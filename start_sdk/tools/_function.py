"""`@tool`: makes host functions callable from code in a cell."""

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
"""Upper limit of `max_chars`: kernel messages are limited in size."""


class FunctionTool(Generic[P, R]):
    """A tool made from a function, still callable as one. See `tool` for the arguments."""

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
            raise ConfigError(f"tool {self.name!r} has no docstring: add one, the prompt shows it")
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
        """See `Tool.call`. A plain function runs in a thread, an async one in the event loop."""
        values = self._checked(arguments)
        work: Any = partial(self.function, **values)
        try:
            if inspect.iscoroutinefunction(self.function):
                return await work()
            return await in_thread(work)
        except ToolError:
            raise
        except (Exception, SystemExit) as error:
            # A TypeError inside the function must not look like a wrong argument.
            raise ToolError(format_error(error)) from error

    def _checked(self, arguments: dict[str, JsonValue]) -> dict[str, Any]:
        try:
            # As JSON, so that text can be a date and a list a tuple, but "5" is not a number.
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
        problem = {"missing": "is missing", "extra_forbidden": "is not known"}.get(
            kind, first["msg"]
        )
        problem = re.sub(r"^(Input|Value error,) ", "", problem)
        raise wrong(f"{self.name}(): argument {where} {problem}{got}")


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
    """Makes a tool of a function, so that cells of a session with this tool can call it.

    The prompt shows its type hints and docstring, and arguments are validated against the hints.
    The function runs in this process, with its privileges: a plain function in a thread, an async
    one in the event loop. It returns JSON-serialisable values, dataclasses or pydantic models. An
    exception in it is raised in the cell as a ToolError that states its type and message.

    Args:
        function: a function with a docstring and a type hint for each parameter.
        name: its name in the cell; the function's own by default.
        timeout: limit for one call, in seconds. After that the cell gets a TimeoutError; an async
            function is cancelled, the thread of a plain one is abandoned.
        max_calls: limit of calls per run of a session.
        max_chars: limit for the arguments and for the result, in characters of JSON each; at most
            1,000,000.
        hints: hints for a policy, e.g. `BeforeEnd(hints=my_tool.hints)`.

    Raises:
        ConfigError: the function cannot be a tool; one line says why.
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
    """Raises ConfigError if a tool is invalid."""
    name = tool.name
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigError(f"{name!r} is not a valid tool name: use a public Python identifier")
    if hasattr(builtins, name):
        raise ConfigError(f"tool {name!r} would hide the built-in {name!r}: choose another name")
    if not tool.timeout > 0:
        raise ConfigError(f"tool {name!r}: timeout must be above 0 seconds, not {tool.timeout!r}")
    if tool.max_calls < 1:
        raise ConfigError(f"tool {name!r}: max_calls must be 1 or more, not {tool.max_calls!r}")
    if not 1 <= tool.max_chars <= LARGEST:
        raise ConfigError(
            f"tool {name!r}: max_chars must be 1 to {LARGEST:,}, not {tool.max_chars!r}"
        )
    try:
        compile(f"def {name}{tool.signature}: ...", "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"tool {name!r}: invalid signature {tool.signature!r}") from error


def format_error(error: BaseException) -> str:
    """Formats an error for a cell: type and message, without directories of the host."""
    try:
        text = str(error)
    except Exception:
        text = "(it has no text)"
    text = re.sub(r"(?<![\w:/.])/(?:[\w.+~@%-]+/)+(?=[\w.+~@%-])", "", text)
    text = text.encode(errors="replace").decode()  # JSON cannot hold lone surrogates
    return f"{type(error).__name__}: {_short(text, 1000)}" if text else type(error).__name__


def spell(hint: Any) -> str:
    """Spells a type for the model: names without modules, pydantic models by their fields."""
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
    """An annotation that is printed as is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(f"tool {name!r}: cannot read its type hints: {error}") from error


def _parameters(
    name: str, function: Callable[..., Any], hinted: dict[str, Any]
) -> list[inspect.Parameter]:
    found = list(inspect.signature(function).parameters.values())
    for p in found:
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            raise ConfigError(f"tool {name!r}: {p} cannot be passed by name: use plain parameters")
        if p.name not in hinted:
            raise ConfigError(f"tool {name!r}: parameter {p.name!r} has no type hint")
    return found


def _model(
    name: str, parameters: list[inspect.Parameter], hinted: dict[str, Any]
) -> type[BaseModel]:
    """The model that validates arguments. Numbered fields, so any parameter name is allowed."""
    fields: dict[str, Any] = {}
    for i, p in enumerate(parameters):
        default = ... if p.default is p.empty else p.default if _is_json(p.default) else None
        fields[f"p{i}"] = (hinted[p.name], Field(default, alias=p.name))
    try:
        made: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        made.model_json_schema()
    except (PydanticUserError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"tool {name!r}: its parameters have no JSON schema: {reason}") from error
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
