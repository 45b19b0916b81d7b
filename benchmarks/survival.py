"""Repeated `kill -9`: `python -m benchmarks.survival [--rows 300 --kills 20 --seed 1]`.

`start-sdk solve` solves a file of the miniature's problems once uninterrupted and once killed at
random times, with the embedded model, the general hint and real kernels. Limits: the rows of both
runs are equal, token for token (seconds are not compared); no row is lost, duplicated, or computed
again after it was done; and no finished row changes after a restart, seconds included.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recipes import suites
from recipes.tiny.families import MATH

RESULT = Path(__file__).parent / "results" / "survival.json"


def write_problems(file: Path, rows: int, seed: int) -> None:
    """Writes `rows` problems, about the same number of each family."""
    problems = suites.tiny(MATH, -(-rows // len(MATH)), seed)[:rows]
    lines = (json.dumps({"id": p.id, "problem": p.question}) for p in problems)
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def start(file: Path, out: Path) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).with_name("start-sdk")
    command = [str(program), "solve", str(file), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait() != 0:
        raise SystemExit(f"start-sdk solve exited with code {process.returncode}")


def done(out: Path) -> dict[str, str]:
    """Finished results by key, read directly from SQLite; empty if there is no store yet."""
    file = out / "rows.sqlite"
    if not file.exists():
        return {}
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
    try:
        found = database.execute("SELECT key, result FROM rows WHERE state = 'done'")
        return dict(found.fetchall())
    except sqlite3.OperationalError:  # killed before the table was created
        return {}
    finally:
        database.close()


def kill_after(process: subprocess.Popen[bytes], out: Path, rows: int, seconds: float) -> None:
    """Waits for `rows` more rows, then for some seconds, and kills the process."""
    target = len(done(out)) + rows
    while process.poll() is None and len(done(out)) < target:
        time.sleep(0.05)
    time.sleep(seconds)
    if process.poll() is not None:
        raise SystemExit("the run ended before it was killed: use more --rows or fewer --kills")
    process.send_signal(signal.SIGKILL)
    process.wait()


def timeless(result: str) -> list[Any]:
    """The part of a result that does not depend on time: finish, and each segment's source, ids."""
    trace = json.loads(result)["trace"]
    return [trace["finish"], [[s["source"], s["token_ids"]] for s in trace["segments"]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draws = random.Random(args.seed)
    with TemporaryDirectory() as folder:
        file, whole, broken = (Path(folder) / n for n in ("problems.jsonl", "whole", "broken"))
        write_problems(file, args.rows, args.seed)
        finish(start(file, whole))
        changed = 0
        before: dict[str, str] = {}
        most = max(1, 2 * args.rows // (args.kills + 4) - 4)  # their sum stays below all rows
        for kill in range(args.kills):
            rows, seconds = draws.randint(0, most), draws.uniform(0, 2)
            kill_after(start(file, broken), broken, rows, seconds)
            now = done(broken)
            changed += sum(now.get(key) != result for key, result in before.items())
            before = now
            print(f"kill {kill + 1:2d}: {len(before):3d} of {args.rows} rows done", flush=True)
        finish(start(file, broken))
        last, unbroken = done(broken), done(whole)
    changed += sum(last.get(key) != result for key, result in before.items())
    row = {
        "rows": args.rows,
        "kills": args.kills,
        "lost": len(unbroken.keys() - last.keys()),
        "foreign": len(last.keys() - unbroken.keys()),
        "changed_after_done": changed,
        "unlike_the_unbroken_run": sum(
            timeless(last[key]) != timeless(unbroken[key]) for key in last.keys() & unbroken.keys()
        ),
    }
    kept = len(unbroken) == args.rows and not any(list(row.values())[2:])
    print(*(f"{name:24s} {value}" for name, value in row.items()), sep="\n")
    print("limit: 0 lost, foreign, changed, different:", "kept" if kept else "MISSED")
    RESULT.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
