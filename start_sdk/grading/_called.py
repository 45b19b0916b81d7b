"""Calls a function of a program: `python _called.py PROGRAM FUNCTION`, in a kernel's sandbox.

Standard input has an argument per line, in JSON; the value goes to standard output, in JSON. What
the program prints by itself is dropped.
"""

import json
import os
import sys
from typing import Any

# What a program may use without an import where only a function is asked for, as on LeetCode.
GIVEN = """
from string import *
from re import *
from datetime import *
from collections import *
from heapq import *
from copy import *
from random import *
from statistics import *
from itertools import *
from functools import *
from operator import *
from typing import *
from math import *
import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools
import functools, operator, io, sys, json, typing
from bisect import *
from builtins import *
"""
RECURSION = 50_000
"""Calls inside each other: judges that call a function allow many."""


def plain(value: object) -> object:
    """A value of numpy as JSON has it; any other one equals nothing that JSON can say."""
    listed = getattr(value, "tolist", None)
    return listed() if listed else {"not JSON": type(value).__name__}


def main(program: str, function: str) -> None:
    sys.setrecursionlimit(RECURSION)
    arguments = [json.loads(line) for line in sys.stdin.read().split("\n") if line.strip()]
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    found: dict[str, Any] = {"__name__": "program"}
    exec(GIVEN, found)  # noqa: S102  # this process is there for it
    with open(program, encoding="utf-8", errors="surrogateescape") as file:
        exec(compile(file.read(), "program.py", "exec"), found)  # noqa: S102
    solution = found.get("Solution")
    owner = solution() if isinstance(solution, type) and hasattr(solution, function) else None
    call = getattr(owner, function) if owner is not None else found[function]
    value = call(*arguments)
    with open(answers, "w", encoding="utf-8") as out:
        json.dump(value, out, default=plain)


if __name__ == "__main__":
    main(*sys.argv[1:])
