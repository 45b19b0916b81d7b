"""Options of a backend, checked against its signature before any work starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from start_sdk.errors import ConfigError

_LISTED = 20
"""Options that a message lists; vLLM alone has two hundred."""


def checked_options(
    backend: str, make: Callable[..., Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options as the types in a signature take them: a number is fine where a text is wanted.

    Args:
        backend: its name, for messages.
        make: what is called with a model and the options.
        options: as the caller passed them.

    Raises:
        ConfigError: `make` has no such option, or it takes another type.
    """
    _, *parameters = inspect.signature(make).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        check_names(f"the backend {backend!r}", options, known)
    hints = _hints(make)
    return {
        name: _of_type(name, value, hints[name]) if name in hints else value
        for name, value in options.items()
    }


def check_names(owner: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises ConfigError for the first name that is not known, with the nearest known one."""
    known = sorted(known)
    for name in names:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1)
        meant = f": did you mean {near[0]!r}?" if near else "."
        listed = f" It has {', '.join(known) or 'none'}" if len(known) <= _LISTED else ""
        raise ConfigError(f"{owner} has no option {name!r}{meant}{listed}")


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(make.__init__ if inspect.isclass(make) else make)
    except (NameError, TypeError, AttributeError):  # names that exist for type checkers alone
        return {}


def _of_type(name: str, value: Any, hint: Any) -> Any:
    try:
        adapter = TypeAdapter[Any](
            hint, config=ConfigDict(coerce_numbers_to_str=True, arbitrary_types_allowed=True)
        )
    except PydanticUserError:  # a type of its own, with a config of its own
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ConfigError(f"{name}={value!r}: {reason[0].lower()}{reason[1:]}") from None
