"""The time that `import start_sdk` adds to Python's start: `python -m benchmarks.import_time`.

Runs whole processes, `python -c pass` and `python -c "import start_sdk"` in turn. Limit: 0.3 s.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 0.3
TURNS = 15
RESULT = Path(__file__).parent / "results" / "import_time.json"


def seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    pairs = [(seconds("pass"), seconds("import start_sdk")) for _ in range(TURNS + 1)][1:]
    bare = statistics.median(a for a, _ in pairs)
    whole = statistics.median(b for _, b in pairs)
    added = statistics.median(b - a for a, b in pairs)
    print(f"python -c pass       {bare:.3f} s")
    print(f"import start_sdk     {whole:.3f} s")
    verdict = "kept" if added < LIMIT else "MISSED"
    print(f"added                {added:.3f} s, median of {TURNS} (limit {LIMIT}): {verdict}")
    row = {
        "limit": LIMIT,
        "bare": round(bare, 4),
        "import": round(whole, 4),
        "added": round(added, 4),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
