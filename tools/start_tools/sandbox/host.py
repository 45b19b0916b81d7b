"""Functions through which a cell calls tools of the host, over the kernel's stdin channel.

A call is a Jupyter `input_request` whose text is a number, the tool's name and the arguments as
JSON. The answer is an `input_reply` whose text is JSON. The host trusts none of this.
"""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is only partly annotated.)
from __future__ import annotations

import builtins
import contextlib
import itertools
import json
import operator
import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

import zmq
from jupyter_client.session import Session

POLL = 10
"""Milliseconds between checks of a waiting call whether its cell has ended."""
EOF = "\x04"
"""The host's answer to a request that it cannot parse."""


class ToolError(Exception):
    """A tool failed on the host, or must not be called."""

    __module__ = "builtins"  # a traceback shows the bare name


class Shown:
    """An annotation or default whose repr is the text that the host wrote."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class HostTools:
    """Sends calls of the running cell to the host, one at a time across threads."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._cell: Any = None
        """Address and request message of the running cell."""
        self._lock = threading.Lock()
        self._caller = 0
        """Id of the thread that holds the lock, 0 for none."""
        self._pid = os.getpid()
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def cell(self, ident: Any, parent: Any) -> Iterator[None]:
        """Context of a running cell: tools can be called within it only."""
        self._cell = (ident, parent)
        try:
            yield
        finally:
            self._cell = None

    def define(self, text: str) -> None:
        """Defines the tools as functions in the cells' namespace. `text` is JSON from the host."""
        # Not the kernel's own session, which truncates long texts (streams.py).
        self._session = Session(key=self._kernel.session.key)
        self._kernel.stdin_socket.router_mandatory = 1  # raise if nobody is connected yet
        names = self._kernel.shell.user_ns
        names["ToolError"] = ToolError
        for tool in json.loads(text):
            names[tool["name"]] = self._function(**tool)

    def _function(self, name: str, signature: str, description: str, max_chars: int) -> Any:
        """Makes a function with this signature, so that Python itself reports wrong arguments."""
        made: dict[str, Any] = {"__call_host": partial(self._call, name, max_chars)}
        # The first line keeps annotations from being evaluated.
        source = (
            "from __future__ import annotations\n"
            f"def {name}{signature}:\n    return __call_host(locals())"
        )
        exec(compile(source, "<tools>", "exec", dont_inherit=True), made)  # noqa: S102
        function = made[name]
        function.__doc__ = description
        function.__module__ = "tools"
        function.__annotations__ = {k: Shown(v) for k, v in function.__annotations__.items()}
        return function

    def _call(self, name: str, max_chars: int, arguments: dict[str, Any]) -> Any:
        # `...` marks a default that is not JSON; the host knows its value.
        given = {key: value for key, value in arguments.items() if value is not ...}
        text = dumped(name, given)
        if len(text) > max_chars:
            size = f"{len(text):,} characters of JSON; {max_chars:,} may be passed"
            raise ToolError(f"{name}(): the arguments have {size}")
        if os.getpid() != self._pid:
            raise ToolError(f"{name}() can be called in the kernel's own process only")
        if self._caller == threading.get_ident():
            raise ToolError(f"{name}() was called while another call of this thread waits")
        with self._lock:
            self._caller = threading.get_ident()
            try:
                with noted_interrupts() as interrupts:
                    answer = self._ask(name, text, interrupts)
            finally:
                self._caller = 0
        if answer["error"]:
            fail(answer["error"], answer["message"])
        return answer["result"]

    def _ask(self, name: str, text: str, interrupts: list[int]) -> Any:
        cell, socket = self._cell, self._kernel.stdin_socket
        over = f"{name}() can be called while a cell runs only; it has ended"
        if cell is None:
            raise ToolError(over)
        number = next(self._numbers)
        ident, parent = cell
        content = {"prompt": f"{number} {name} {text}", "password": False}
        sent: Any = False
        while self._cell is cell and not interrupts:
            try:
                sent = sent or self._session.send(
                    socket, "input_request", content, parent, ident=ident
                )
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                time.sleep(0.001)  # the host is still connecting
                continue
            if not socket.poll(POLL):
                continue
            reply: Any = self._session.recv(socket)[1]
            value = reply["content"]["value"]
            # Skip answers that nobody waits for: to an interrupted call, or to a forged one.
            if value != EOF and (answer := json.loads(value))["number"] == number:
                return answer
        raise ToolError(over)


@contextlib.contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """Records SIGINT in a list that the caller checks, and raises KeyboardInterrupt at the end.

    An immediate exception could hit between two frames of a message and garble this message and the
    next; and in a cell that awaits, ipykernel's handler does not end a blocking call.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
        if noted:
            raise KeyboardInterrupt


def dumped(name: str, arguments: dict[str, Any]) -> str:
    """Encodes arguments as JSON; numpy and sympy numbers and arrays become plain values."""
    texts = []
    for key, value in arguments.items():
        try:
            check_keys(value)
            text = json.dumps(value, default=simple, allow_nan=False, ensure_ascii=False)
            text.encode()  # a lone surrogate cannot be sent
            texts.append(f"{json.dumps(key)}: {text}")
        except RecursionError:
            raise ValueError(f"{name}(): argument {key} is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise type_of(error)(f"{name}(): argument {key}: {error}") from None
    return f"{{{', '.join(texts)}}}"


def type_of(error: Exception) -> type[Exception]:
    """TypeError or ValueError: subclasses may take other constructor arguments."""
    return TypeError if isinstance(error, TypeError) else ValueError


def check_keys(value: object) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"keys of a dict must be text, not {key!r}")
            check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            check_keys(item)


def simple(value: Any) -> object:
    """Converts a value that JSON does not know; raises TypeError if it cannot."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__index__"):
        return operator.index(value)
    known = "None, bool, int, float, str, list, tuple, dict"
    raise TypeError(f"a {type(value).__name__} cannot be passed to the host: only {known}")


def fail(kind: str, message: str) -> NoReturn:
    """Raises the exception that the host reported."""
    raise (ToolError if kind == "ToolError" else getattr(builtins, kind))(message)
