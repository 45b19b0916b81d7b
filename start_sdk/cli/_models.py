"""The options that say which model runs and on what, and how it is opened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from start_sdk import models, plugins
from start_sdk._printing import Terminal, styled
from start_sdk.backends import open_backend
from start_sdk.errors import ConfigError
from start_sdk.protocols import Backend

Model = Annotated[
    str | None,
    typer.Option(
        show_default=models.DEFAULT,
        help="An embedded model, a folder, a GGUF file, a hub id, a server's address, or a name "
        "on the server of --base-url, which needs none if it has one model.",
    ),
]
BackendName = Annotated[
    str | None,
    typer.Option(help="What runs the model; by default found out by its name or address."),
]
BaseUrl = Annotated[str | None, typer.Option(help="Address of the server that has the model.")]
Mode = Annotated[
    str | None,
    typer.Option(help="Of a server: tokens, text or chat; by default what it can do."),
]
TokenizerName = Annotated[
    str | None,
    typer.Option(help="Of a server's model: an embedded model, a folder or a hub id."),
]
ApiKeyEnv = Annotated[
    str | None, typer.Option(help="Environment variable that holds the server's key.")
]
BackendOptions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="An option of the backend; a value that is JSON is read as JSON. Repeatable.",
    ),
]


ASKED = ("server", "openai", "llamacpp", "sglang")
"""Backends that ask the server of `OPENAI_BASE_URL` if no address is given."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model and what runs it, as a command line names them."""

    named: str | None
    backend: str | None = None
    base_url: str | None = None
    mode: str | None = None
    tokenizer: str | None = None
    api_key_env: str | None = None
    backend_option: Sequence[str] | None = None

    @property
    def model(self) -> str:
        """The model: without a name it is the only one of the server, or the embedded one."""
        server = self.base_url
        if server is None and self.backend in ASKED:
            server = os.environ.get("OPENAI_BASE_URL")
        return self.named or server or models.DEFAULT

    @property
    def plugin(self) -> str:
        """The backend: the one that is named, or found out by name and address."""
        return self.backend or plugins.backend_for(self.base_url or self.model)

    def options(self) -> dict[str, Any]:
        """What the backend is passed.

        Raises:
            ConfigError: an option does not fit the backend, or is given twice.
        """
        server = {
            "base_url": self.base_url,
            "mode": self.mode,
            "tokenizer": self.tokenizer,
            "api_key_env": self.api_key_env,
        }
        given = {name: value for name, value in server.items() if value is not None}
        if self.base_url is not None and plugins.backend_for(self.base_url) != "server":
            raise ConfigError(
                f"--base-url {self.base_url!r} is not an address: it begins with http:// or https://"
            )
        if given and self.plugin in plugins.LOCAL:
            flag = next(iter(given)).replace("_", "-")
            raise ConfigError(
                f"--{flag} is for a model on a server, and {self.model!r} would run here, on "
                f"{self.plugin}: give the server's address with --base-url or --model"
            )
        parsed = parsed_options(self.backend_option or ())
        if twice := next((name for name in parsed if name in given), None):
            raise ConfigError(f"--backend-option {twice}: --{twice.replace('_', '-')} says it, too")
        return {**given, **parsed}

    def counted(self) -> dict[str, Any]:
        """The options on which a result depends, as a setting of its row; none, if there are none.

        Where a server is and who asks it do not count.
        """
        apart = ("base_url", "api_key_env", "api_key")
        options = {name: value for name, value in self.options().items() if name not in apart}
        return {"options": options} if options else {}

    def open(self) -> Backend:
        """Opens the model, and shows on a terminal what is waited for. The caller closes it.

        Raises:
            ConfigError: as `options`; otherwise as `open_backend`.
        """
        options = self.options()
        with waiting(f"{'loading' if self.plugin in plugins.LOCAL else 'asking'} {self.model}"):
            return open_backend(self.model, self.plugin, **options)


@contextmanager
def waiting(reason: str) -> Iterator[None]:
    """Shows on a terminal what the program is waiting for; nothing where nobody looks."""
    console = Terminal(stderr=True)
    with console.status(styled(reason, "dim")) if console.is_terminal else nullcontext():
        yield


def parsed_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options of a backend from `NAME=VALUE`; a value that is JSON is read as JSON.

    Raises:
        ConfigError: one is not `NAME=VALUE`, or is given twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--backend-option {text!r}: expected NAME=VALUE, e.g. threads=2")
        if name in options:
            raise ConfigError(f"--backend-option {text!r}: {name} is given twice")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
