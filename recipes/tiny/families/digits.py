"""Pieces for questions that may ask for the digit sum of a value instead of the value."""

from random import Random

from recipes.tiny.world import Program

ASK_DIGITS = " Give the sum of its digits."


def digit_sum(value: int) -> int:
    """Sum of the decimal digits of a value that is not negative."""
    return sum(int(digit) for digit in str(value))


def digits_work(value: int) -> str:
    """The digit sum written out, as in " Its digits: 2 + 9 = 11."."""
    digits = list(str(value))
    if len(digits) == 1:
        return f" It has one digit: {value}."
    return f" Its digits: {' + '.join(digits)} = {digit_sum(value)}."


def printing(lines: list[str], name: str, value: int, digits: bool, rng: Random) -> Program:
    """Program of `lines`, which set `name` to `value`, then prints the value or its digit sum.

    The last line printed always ends with what was asked for.
    """
    if not digits:
        label = rng.random() < 0.1
        show = f'print("{name}:", {name})' if label else f"print({name})"
        return Program("\n".join([*lines, show]), f"{name}: {value}" if label else str(value))
    total = digit_sum(value)
    forms = (f"sum(map(int, str({name})))", f"sum(int(d) for d in str({name}))")
    end = [f"print({rng.choice(forms)})"]
    output = str(total)
    style = rng.random()
    if style < 0.45:
        end = [f"print({name})", *end]
        output = f"{value}\n{total}"
    elif style < 0.6:
        end = [f"print({name}, {rng.choice(forms)})"]
        output = f"{value} {total}"
    return Program("\n".join([*lines, *end]), output)
