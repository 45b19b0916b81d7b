"""Functions in a cell that are tools of the host: a call is a question on the stdin channel.

The question is Jupyter's `input_request`; its text is a number, the tool's name and the arguments
as JSON. The answer is an `input_reply`; its text is JSON. The host trusts none of this.
"""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is annotated in parts.)
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
"""Milliseconds after which a call looks whether its cell has ended."""
EOF = "\x04"
"""What the host says to a question that it cannot read."""


class ToolError(Exception):
    """A tool failed on the host, or may not be called."""

    __module__ = "builtins"  # its name stands alone in a traceback


class Shown:
    """An annotation or default that is printed as the host wrote it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class HostTools:
    """Carries calls of the running cell to the host. Threads take turns."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._cell: Any = None
        """Address and message of the cell that runs."""
        self._lock = threading.Lock()
        self._caller = 0
        """The thread that holds the lock."""
        self._pid = os.getpid()
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def cell(self, ident: Any, parent: Any) -> Iterator[None]:
        """While it lasts, tools can be called."""
        self._cell = (ident, parent)
        try:
            yield
        finally:
            self._cell = None

    def define(self, text: str) -> None:
        """Puts functions where cells find them. `text` is JSON that the host has written."""
        # Not the kernel's own session, which cuts long texts (streams.py).
        self._session = Session(key=self._kernel.session.key)
        self._kernel.stdin_socket.router_mandatory = 1  # say so, if nobody is connected yet
        names = self._kernel.shell.user_ns
        names["ToolError"] = ToolError
        for tool in json.loads(text):
            names[tool["name"]] = self._function(**tool)

    def _function(self, name: str, signature: str, description: str, max_chars: int) -> Any:
        """A function with that signature: Python itself says what does not fit it."""
        made: dict[str, Any] = {"__call_host": partial(self._call, name, max_chars)}
        # Annotations are not evaluated, thanks to the first line.
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
        # Where the default is not JSON it is written `...`: the host knows it.
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
                time.sleep(0.001)  # the host's end is being connected
                continue
            if not socket.poll(POLL):
                continue
            reply: Any = self._session.recv(socket)[1]
            value = reply["content"]["value"]
            # Not one that nobody waited for: of a call that was interrupted, or of a forged one.
            if value != EOF and (answer := json.loads(value))["number"] == number:
                return answer
        raise ToolError(over)


@contextlib.contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """SIGINT is noted in a list that the caller looks at, and raises at the end.

    It could otherwise hit between two frames of a message, and garble this one and the next; and in
    a cell that awaits, ipykernel's handler does not end what blocks.
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
    """Arguments as JSON. Numbers of numpy and sympy, and arrays, are taken for what they hold."""
    texts = []
    for key, value in arguments.items():
        try:
            check_keys(value)
            text = json.dumps(value, default=simple, allow_nan=False, ensure_ascii=False)
            text.encode()  # half a character cannot be sent
            texts.append(f"{json.dumps(key)}: {text}")
        except RecursionError:
            raise ValueError(f"{name}(): argument {key} is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise type_of(error)(f"{name}(): argument {key}: {error}") from None
    return f"{{{', '.join(texts)}}}"


def type_of(error: Exception) -> type[Exception]:
    """Without its odder subclasses, which take other arguments."""
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
    """What JSON knows, for what it does not know. Raises TypeError."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__index__"):
        return operator.index(value)
    known = "None, bool, int, float, str, list, tuple, dict"
    raise TypeError(f"a {type(value).__name__} cannot be passed to the host: only {known}")


def fail(kind: str, message: str) -> NoReturn:
    """Raises what the host said."""
    raise (ToolError if kind == "ToolError" else getattr(builtins, kind))(message)
