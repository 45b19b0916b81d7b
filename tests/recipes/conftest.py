"""Shared by the tests of recipes."""

from functools import partial
from typing import Any

import pytest

from start_sdk import plugins


@pytest.fixture
def plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs get the Python tool as one that knows that code runs as we do: no warning."""
    real = plugins.load

    def load(group: Any, name: str) -> Any:
        found = real(group, name)
        return partial(found, isolation="plain") if group == "interpreters" else found

    monkeypatch.setattr(plugins, "load", load)
