"""The families of the miniature world, one file each."""

from recipes.tiny.families import coins, divisors, factors, powers, products, sums
from recipes.tiny.world import Family

FAMILIES: tuple[Family, ...] = (
    products.FAMILY,
    powers.FAMILY,
    coins.FAMILY,
    sums.FAMILY,
    divisors.FAMILY,
    factors.FAMILY,
)
