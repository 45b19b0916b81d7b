"""IPython adapted to models: plain text, short errors, cells that run as scripts do."""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is only partly annotated.)
from __future__ import annotations

import itertools
import linecache
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ipykernel.compiler import XCachingCompiler
from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core import interactiveshell
from traitlets import Type, default

from start_tools.sandbox import script
from start_tools.sandbox.host import HostTools
from start_tools.sandbox.streams import Streams

CELL = "<cell "
"""Prefix of the file name under which a cell's code is compiled."""
FRAMES = 4
"""Frames kept from each end of a deep traceback."""


def ended_well(error: BaseException | None) -> bool:
    """Whether it is `exit()`, or what else ends a script with exit code 0."""
    code = error.code if isinstance(error, SystemExit) else 1
    return code is None or (isinstance(code, int) and code == 0)


class CellCompiler(XCachingCompiler):
    """Gives each cell a file name that is not a path."""

    current = ""
    """The name of the running cell."""
    numbers = itertools.count(1)

    def get_code_name(self, raw_code: str, code: str, number: int) -> str:
        CellCompiler.current = f"{CELL}{next(self.numbers)}>"
        return self.current


def short_traceback(error: BaseException, tb: TracebackType | None) -> list[str]:
    """The frames that belong to cells, then the error itself."""
    frames = []
    for frame, line in traceback.walk_tb(tb):
        code = frame.f_code
        if code.co_filename.startswith(CELL):
            cell = "" if code.co_filename == CellCompiler.current else "earlier cell, "
            inside = "" if code.co_name == "<module>" else f", in {code.co_name}"
            source = linecache.getline(code.co_filename, line).strip()
            frames.append(f"{cell}line {line}{inside}: {source}")
    if len(frames) > 2 * FRAMES:
        frames[FRAMES:-FRAMES] = [f"[... {len(frames) - 2 * FRAMES} more frames ...]"]
    if isinstance(error, SyntaxError) and error.text:
        frames.append(f"line {error.lineno}: {error.text.strip()}")
        return [*frames, f"{type(error).__name__}: {error.msg}"]
    last = traceback.TracebackException(type(error), error, None, compact=True)
    text = "".join(last.format_exception_only()).rstrip("\n")
    if isinstance(error, ImportError):
        text = text.replace(f" ({error.path})", "")
    return [*frames, text]


class Display(ZMQShellDisplayHook):
    """Shows values and keeps none, so that `_` is a name like any other and memory is freed.

    It hides the value of a cell that ends in a semicolon, although no history is kept.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        shell: Any = self.shell
        for name in ("_", "__", "___"):
            del shell.user_ns[name]

    def check_for_underscore(self) -> None: ...
    def fill_exec_result(self, result: object) -> None: ...
    def log_output(self, format_dict: object) -> None: ...

    def quiet(self) -> bool:
        cell = "".join(linecache.getlines(CellCompiler.current))
        return bool(self.semicolon_at_end_of_expression(cell))


class Shell(ZMQInteractiveShell):
    """IPython without colours and long tracebacks, whose `exit` does not end the kernel."""

    displayhook_class = Type(Display)

    def init_environment(self) -> None:
        """Does nothing: the host has set the environment, and IPython would force colours."""

    @contextmanager
    def _tee(self, channel: str) -> Iterator[None]:
        """Does nothing: IPython would keep all output, which costs more than printing it."""
        yield

    @default("loop_runner")
    def _run_in_the_cells_loop(self) -> Any:
        return script.run_await

    def init_user_ns(self) -> None:
        super().init_user_ns()
        self.user_ns.update(exit=sys.exit, quit=sys.exit, open=script.open_copy)

    def run_cell(self, *args: Any, **options: Any) -> Any:
        script.fork_workers()
        with script.in_cells_loop():
            result = super().run_cell(*args, **options)
        if ended_well(result.error_in_exec):
            result.error_in_exec = None
        # What a debugger would want, and nobody here, would keep variables of functions alive.
        if result.error_in_exec:
            result.error_in_exec.__traceback__ = None
        self.last_execution_result = None
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            sys.__dict__.pop(name, None)
        return result

    def showtraceback(self, exc_tuple: Any = None, *args: object, **kwargs: object) -> None:
        error: Any
        kind, error, tb = self._get_exc_info(exc_tuple)
        if ended_well(error):
            return
        lines = short_traceback(error, None if isinstance(error, SystemExit) else tb)
        # Not `error`, whose __str__ may raise.
        self._showtraceback(kind, lines[-1], lines)

    def showsyntaxerror(self, *args: object, **kwargs: object) -> None:
        self.showtraceback()


class Kernel(IPythonKernel):
    shell_class = Type(Shell)
    compiler_class = Type(CellCompiler)
    shell: Any
    streams: Streams

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.host_tools = HostTools(self)

    def pre_handler_hook(self) -> None:
        """Does nothing: SIGINT is handled only while a cell runs.

        ipykernel handles it during any message, where it can hit outside any handler and end the
        kernel.
        """

    def post_handler_hook(self) -> None: ...

    async def do_execute(self, *args: Any, **kwargs: Any) -> Any:
        self.streams.begin(self.shell.get_parent())
        signal.signal(signal.SIGINT, signal.default_int_handler)
        address = self._get_shell_context_var(self._shell_parent_ident)
        try:
            with self.host_tools.cell(address, self.get_parent("shell")):
                reply = await super().do_execute(*args, **kwargs)
                self.streams.end()
                return reply
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def raw_input(self, prompt: object = "", /) -> str:
        if sys.stdin is sys.__stdin__:
            raise EOFError("input() was called, but there is nobody to answer")
        return str(self._sys_raw_input(prompt))  # from what the cell has put in its place

    def getpass(self, *args: object, **kwargs: object) -> str:
        raise EOFError("getpass() was called, but there is nobody to answer")


def hide_paths() -> None:
    """Keeps the machine's file names out of warnings and of errors that end a thread."""

    def excepthook(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value or args.exc_type()
        if isinstance(error, SystemExit):  # ends the thread, as in a script
            return
        name = args.thread.name if args.thread else "a thread"
        lines = short_traceback(error, args.exc_traceback)
        sys.stderr.write("\n".join([f"Exception in {name}:", *lines, ""]))

    threading.excepthook = excepthook
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}\n"

    def warn(message: Any, *args: Any, **options: Any) -> None:
        # This advice makes no sense to a reader who cannot exit.
        if not str(message).startswith("To exit: use"):
            warnings.warn(message, *args, **options)

    interactiveshell.__dict__["warn"] = warn
    # The cells' own code has one thread; they know nothing of the kernel's.
    warnings.filterwarnings("ignore", message=".* is multi-threaded, use of fork")
