"""The families of the miniature world, one file each."""

from recipes.tiny.families import (
    code_ranges,
    code_steps,
    coins,
    counting,
    divisors,
    factors,
    orders,
    pairs,
    powers,
    primes,
    products,
    residues,
    sequences,
    sums,
)
from recipes.tiny.world import Family

#: Questions whose answer is a number.
MATH: tuple[Family, ...] = (
    products.FAMILY,
    powers.FAMILY,
    coins.FAMILY,
    sums.FAMILY,
    divisors.FAMILY,
    factors.FAMILY,
    residues.FAMILY,
    orders.FAMILY,
    primes.FAMILY,
    sequences.FAMILY,
    counting.FAMILY,
    pairs.FAMILY,
)
#: Questions whose answer is a function, with examples of its values.
CODE: tuple[Family, ...] = (code_steps.FAMILY,)
GROUPS = {"math": MATH, "code": CODE, "all": (*MATH, *CODE)}
#: What the shipped weights were pre-trained on, and so what the world's hash covers. `code_ranges`
#: is in no group: its key has the example's argument, so the function that a test problem asks for
#: is also that of training problems, with another example.
FAMILIES: tuple[Family, ...] = (*MATH, *CODE, code_ranges.FAMILY)

#: Families whose questions Hint-RFT never trains on, so that what it teaches is seen to carry
#: over: one of a single run, one that often needs a second.
KEPT_FROM_TRAINING: frozenset[str] = frozenset({"factors", "orders"})
