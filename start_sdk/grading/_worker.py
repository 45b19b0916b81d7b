"""The worker process: `python -m start_sdk.grading._worker MEGABYTES SECONDS`.

Reads one request per line (a JSON list: answer, gold) and writes one result per line. It exits when
its input ends, so it never outlives its host for long: a limit on CPU time, renewed for each
request, ends a running computation.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import sys


def main(megabytes: int, seconds: float) -> None:
    size = megabytes * 2**20
    with contextlib.suppress(ValueError):  # macOS has this limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries must not print into the replies

    from start_sdk.grading._engine import compare  # takes a second to import

    def reply(result: str) -> None:
        print(result, file=replies, flush=True)

    reply("ready")
    for line in sys.stdin:
        limit_cpu(seconds)
        answer, gold = json.loads(line)
        try:
            reply(compare(answer, gold))
        except MemoryError:
            os._exit(1)  # the heap may be in any state
        except Exception:  # sympy may raise anything on hostile input
            reply("undecided")


def limit_cpu(seconds: float) -> None:
    until = math.ceil(sum(os.times()[:2]) + seconds) + 1  # the host's timeout comes first
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
