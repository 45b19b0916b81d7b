"""Bases of the SDK's immutable values: what is stored, and what a caller sets."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from start_sdk._text.visible import visible
from start_sdk.errors import ConfigError

if TYPE_CHECKING:
    Model = BaseModel
else:
    _PYDANTIC = frozenset(dir(BaseModel))

    class _Short(type(BaseModel)):
        """Leaves pydantic's own methods out of `help()`, where they would hide what is ours."""

        def __dir__(cls):
            own = (name for name in super().__dir__() if not name.startswith("__"))
            return [name for name in own if name not in _PYDANTIC]

    class Model(BaseModel, metaclass=_Short):
        pass


class Frozen(Model):
    """An immutable value, validated on creation."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")


class Settings(Frozen):
    """Settings from a caller: an invalid value or unknown name raises a one-line ConfigError."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:  # type checkers see pydantic's own signature

        def __init__(self, /, **values):
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(first_problem(error, type(self).model_fields)) from error


def first_problem(error: ValidationError, known: Iterable[str] = ()) -> str:
    """The first problem that pydantic found, in one line; `known` are the names that there are."""
    first = error.errors(include_url=False)[0]
    where = visible(".".join(map(str, first["loc"])), keep="")[:80]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ConfigError):  # of settings inside these, in a line already
        return f"{where}.{inner}" if where else str(inner)
    value = "" if first["type"] == "missing" else f"={repr(first['input'])[:80]}"
    message = first["msg"]
    if first["type"] == "extra_forbidden":
        near = get_close_matches(where, known, n=1)
        message = "there is no such setting" + (f"; did you mean {near[0]!r}?" if near else "")
    return f"{where or error.title}{value}: {message}"
