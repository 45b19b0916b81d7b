"""Estimates what a run takes and checks whether it can start, without loading weights.

    python -m recipes.plan --config recipes/configs/qwq-32b.toml
    python -m recipes.plan --config recipes/configs/tiny.toml --set sampled.samples=16

Prints what each stage samples and trains on, in tokens and device-hours, the memory of training and
rollouts, and a line per check: `ok`, `broken`, or `not checked` with the reason. If any check is
broken, it is repeated at the end and the exit code is 2. The estimates use the config's `[plan]`;
missing values default to the largest possible ones. `recipes.reproduce --plan` does the same and
includes the evaluations.
"""

from __future__ import annotations

import sys

from recipes import experiment, rft
from recipes.config import command_line, given
from recipes.plan import plan


def main() -> int:
    """The plan of Hint-RFT; 2 for bad input or something broken, 130 for Ctrl-C."""
    parser = command_line("recipes.plan", __doc__)
    options = parser.parse_args()

    def body() -> int:
        config = given(options)
        return plan(config, rft.stages(config))

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
