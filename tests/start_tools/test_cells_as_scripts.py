"""What scripts do, and notebooks refuse or show differently."""

from __future__ import annotations

import re
import textwrap

import pytest
from start_tools.python import PythonTool

from start_sdk import CellResult, Kernel, Toolbox
from start_sdk import tool as host_tool

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def run(kernel: Kernel, *cells: str, timeout: float = 10) -> CellResult:
    """Runs cells, of which all but the last must end well, and returns the last result."""
    for cell in cells:
        result = await kernel.run(textwrap.dedent(cell).strip(), timeout=timeout)
        assert cell is cells[-1] or result.status == "ok", result
    return result


async def test_numbers_of_many_digits_print_and_parse(kernel: Kernel) -> None:
    result = await run(
        kernel,
        """
        import multiprocessing, subprocess, sys
        n = 10 ** 6000
        print(sum(map(int, str(2 ** 20000))), int("7" * 5000) % 10, len(f"{n}"), len("%d" % n))
        subprocess.run([sys.executable, "-c", "print(len(str(10 ** 6000)))"])
        with multiprocessing.Pool(1) as pool:
            print(len(pool.map(str, [n])[0]))
        n
        """,
    )

    *others, value = re.split(r"\n", result.text, maxsplit=3)
    assert (result.status, others) == ("ok", ["26995 7 6001 6001", "6001", "6001"])
    assert value.startswith("1000") and result.cut


async def test_a_conversion_of_too_many_digits_is_interrupted(kernel: Kernel) -> None:
    result = await run(kernel, "x = 1 << 10 ** 7", "len(str(x))", timeout=0.2)

    assert (result.status, result.state_kept) == ("timeout", True)


async def test_a_long_number_reaches_no_host_tool_as_a_crash(tool: PythonTool) -> None:
    @host_tool
    def double(n: int) -> int:
        """Doubles a number."""
        return 2 * n

    async with tool.open(tools=Toolbox([double])) as kernel:
        result = await run(kernel, "double(10 ** 6000)")
        assert result.status == "error" and len(result.text.splitlines()) < 5
        assert (await run(kernel, "double(4)")).text == "8"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("sys.stdout.buffer.write(b'hi\\n');", "hi"),
        ("print('a', end='')\nsys.stdout.buffer.write(b'b')\nprint('c')", "abc"),
        (
            "sys.stdout.buffer.write('é'.encode()[:1])\nsys.stdout.buffer.write('é'.encode()[1:]);",
            "é",
        ),
        ("sys.stdout.buffer.write(b'\\xc3');", "\ufffd"),
        ("sys.stdout.buffer.writelines([b'a', bytearray(b'b'), memoryview(b'c')])", "abc"),
        ("sys.stdout.buffer.raw.write(b'raw')\nsys.stdout.buffer.flush()", "raw"),
        ("sys.stderr.buffer.write(b'err');", "err"),
        ("len({sys.stdout.buffer.write(b'x' * 3_000_000)})", "1"),
        ("sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)\nprint('ä')", "ä"),
        ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\nprint('ä')", "ä"),
        ("sys.stdout = codecs.getwriter('utf-8')(sys.stdout.detach())\nprint('ä')", "ä"),
        ("sys.stdout = open(1, 'w')\nprint('a')", "a"),
        (
            "sys.stdout = io.StringIO()\nprint('hidden')\nsys.stdout = sys.__stdout__\nprint('a')",
            "a",
        ),
        ("class Null:\n    def write(self, text): pass\nsys.stdout = Null()\nprint('hidden')", ""),
    ],
)
async def test_standard_output_is_a_real_stream(kernel: Kernel, code: str, text: str) -> None:
    result = await run(kernel, "import codecs, io, sys\n" + code)

    assert result.status == "ok"
    assert result.text == text or result.text.endswith("x\n" + text)
    assert (await run(kernel, "print('next')")).text == "next"


async def test_only_bytes_are_written_to_the_buffer(kernel: Kernel) -> None:
    result = await run(kernel, "import sys\nsys.stdout.buffer.write('text')")

    assert result.text.endswith("TypeError: memoryview: a bytes-like object is required, not 'str'")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["sys.stdin.read(), sys.stdin.readline(), list(sys.stdin)"], "('', '', [])"),
        (["sys.stdin.buffer.read(), open(0).read(), open(0, 'rb').read()"], "(b'', '', b'')"),
        (["with open(0) as file: file.read()", "sys.stdin.read()"], "''"),
        (["sys.stdin.close()", "sys.stdin.read()"], "''"),
        (["import os; os.close(0)", "open(0).read()"], "''"),
        (["sys.stdin = io.StringIO('3 4')\nsum(map(int, input().split()))"], "7"),
        (["sys.stdin = io.StringIO('3')", "int(input('n = '))"], "n = \n3"),
    ],
)
async def test_standard_input_is_empty_unless_a_cell_replaces_it(
    kernel: Kernel, cells: list[str], text: str
) -> None:
    assert (await run(kernel, "import io, sys", *cells)).text == text
    await run(kernel, "sys.stdin = sys.__stdin__")


async def test_input_without_data_raises(kernel: Kernel) -> None:
    nobody = await run(kernel, "n = int(input('n = '))")
    used_up = await run(kernel, "import io, sys\nsys.stdin = io.StringIO('')", "input()")

    await run(kernel, "sys.stdin = sys.__stdin__")
    assert nobody.text.endswith("EOFError: input() was called, but there is nobody to answer")
    assert used_up.text.endswith("EOFError: EOF when reading a line")


MAIN = "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 5\n"


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["asyncio.run(main())"], "5"),
        (["asyncio.run(main())", "asyncio.run(main()), await main(), asyncio.run(main())"], "(5, 5, 5)"),
        (["asyncio.get_event_loop().run_until_complete(main())"], "5"),
        (["loop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\nloop.run_until_complete(main())"], "5"),
        (["loop = asyncio.get_event_loop()\nloop.run_until_complete(main())\nloop.close()", "await main()"], "5"),
        (["asyncio.get_event_loop().run_until_complete(asyncio.gather(main(), main()))"], "[5, 5]"),
        (["with asyncio.Runner() as runner:\n    print(runner.run(main()))"], "5"),
        (["task = asyncio.create_task(main())", "asyncio.run(main())", "await task"], "5"),
        (["task = asyncio.create_task(main())\nawait task"], "5"),
        (["future = asyncio.ensure_future(main())", "await future"], "5"),
        (["queue = asyncio.Queue()\nawait queue.put(5)", "await queue.get()"], "5"),
        (["import threading\nt = threading.Thread(target=lambda: print(asyncio.run(main())))\nt.start()\nt.join()"], "5"),
        (["import os\nif os.fork() == 0:\n    print(asyncio.run(main()), flush=True)\n    os._exit(0)\nos.wait();"], "5"),
    ],
)  # fmt: skip
async def test_a_cell_can_run_an_event_loop(kernel: Kernel, cells: list[str], text: str) -> None:
    result = await run(kernel, MAIN, *cells)

    assert (result.status, result.text) == ("ok", text)


async def test_an_error_in_a_coroutine_shows_its_lines(kernel: Kernel) -> None:
    result = await run(kernel, "import asyncio\nasync def f():\n    return 1 / 0\nasyncio.run(f())")

    assert result.text.splitlines() == [
        "line 4: asyncio.run(f())",
        "line 3, in f: return 1 / 0",
        "ZeroDivisionError: division by zero",
    ]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("call", ["await wait()", "asyncio.run(wait())"])
async def test_an_interrupt_lets_a_coroutine_clean_up(kernel: Kernel, call: str) -> None:
    result = await run(
        kernel,
        f"""
        import asyncio
        async def wait():
            try:
                await asyncio.sleep(60)
            finally:
                print("cleaned up")
        {call}
        """,
        timeout=0.2,
    )

    assert (result.status, result.state_kept) == ("timeout", True)
    assert result.text.startswith("cleaned up\n")
    assert (await run(kernel, "await asyncio.sleep(0, 'next')")).text == "'next'"


@pytest.mark.parametrize(
    "code",
    [
        "exit()",
        "quit()",
        "exit(0)",
        "sys.exit()",
        "sys.exit(0)",
        "sys.exit(False)",
        "raise SystemExit",
        "await asyncio.sleep(0)\nsys.exit()",
        "async def main():\n    sys.exit(0)\nasyncio.run(main())",
        "async def main():\n    sys.exit(0)\nawait asyncio.gather(main(), asyncio.sleep(60))",
        "import threading\nt = threading.Thread(target=sys.exit, args=('thread',))\nt.start()\nt.join()",
    ],
)
async def test_an_exit_ends_a_cell_well(kernel: Kernel, code: str) -> None:
    result = await run(kernel, f"import asyncio, sys\nx = 1\nprint('before')\n{code}")

    assert (result.status, result.text, result.state_kept) == ("ok", "before", True)
    assert (await run(kernel, "x")).text == "1"


async def test_an_exit_gives_no_advice_even_where_all_warnings_are_shown(fresh: Kernel) -> None:
    result = await run(fresh, "import sys, warnings\nwarnings.simplefilter('always')\nsys.exit()")

    assert (result.status, result.text) == ("ok", "")


async def test_what_follows_an_exit_does_not_run(kernel: Kernel) -> None:
    code = "x = 1\ntry:\n    exit()\nfinally:\n    print('cleaned up')\nx = 2"

    assert (await run(kernel, code)).text == "cleaned up"
    assert (await run(kernel, "x")).text == "1"


@pytest.mark.parametrize("code", ["1", "'no solution'", "0.0"])
async def test_an_exit_with_a_code_is_an_error_of_one_line(kernel: Kernel, code: str) -> None:
    result = await run(kernel, f"import sys\ndef f():\n    sys.exit({code})\nf()")

    assert (result.status, result.text) == ("error", "SystemExit: " + code.strip("'"))


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["for _ in range(3): pass", "'shown'", "_"], "2"),
        (["_ = 7\n'shown'", "_"], "7"),
        (["import gettext\ngettext.install('app')\n_('text')", "_('text')"], "'text'"),
        (["'shown'\ntry:\n    _\nexcept NameError:\n    _ = str.upper", "_('text')"], "'TEXT'"),
        (["if __name__ == '__main__':\n    print('main')"], "main"),
        (["import argparse\np = argparse.ArgumentParser()\np.add_argument('--n', default=3)\np.parse_args().n"], "3"),
        (["import sys\nlen(sys.argv)"], "1"),
        (["import unittest\nclass T(unittest.TestCase):\n    def test(self): print('tested')\nunittest.main()"], None),
    ],
)  # fmt: skip
async def test_names_are_those_of_a_script(
    kernel: Kernel, cells: list[str], text: str | None
) -> None:
    forget = "import builtins\nvars(builtins).pop('_', 0), globals().pop('_', 0);"

    result = await run(kernel, forget, *cells)

    assert result.status == "ok"
    assert result.text == text or (text is None and result.text.endswith("OK"))


async def test_arguments_that_are_missing_are_reported_by_the_parser(kernel: Kernel) -> None:
    code = "import argparse\np = argparse.ArgumentParser()\np.add_argument('n')\np.parse_args()"

    *_, problem, last = (await run(kernel, code)).text.splitlines()

    assert problem.endswith("error: the following arguments are required: n")
    assert last == "SystemExit: 2"


async def test_no_history_keeps_a_value_alive(kernel: Kernel) -> None:
    begin = "import weakref\nclass Large: pass\nlarge = Large()\nref = weakref.ref(large)"
    shown = await run(kernel, begin, "large", "del large\nref()")
    await run(kernel, begin)
    failed = await kernel.run("def f(local):\n    1 / 0\ntry: f(large)\nfinally: del large")

    assert (shown.text, failed.status) == ("", "error")
    assert (await run(kernel, "ref()")).text == ""


@pytest.mark.parametrize("again", [1, 2])
async def test_functions_of_a_cell_run_in_worker_processes(kernel: Kernel, again: int) -> None:
    result = await run(
        kernel,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        def square(n):
            return n * n

        if __name__ == "__main__":
            multiprocessing.set_start_method("fork")
            with multiprocessing.Pool(2) as pool:
                print(pool.map(square, range(4)))
            with ProcessPoolExecutor(2) as pool:
                print(list(pool.map(square, range(4))))
        """,
    )

    assert result.text == "[0, 1, 4, 9]\n[0, 1, 4, 9]"
