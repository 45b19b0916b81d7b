"""How large what a kernel sends may be: the kernel keeps to it, its host reads nothing larger."""

PICTURE = 2_000_000
"""Characters of a picture, in base64; a larger one is not sent."""


def largest_message(limit: int) -> int:
    """Bytes of a message with a picture and some texts.

    A host needs up to 30 times as much memory to read one that means harm (JSON of small objects).

    Args:
        limit: characters that are kept from either end of a text, of up to twelve bytes each.
    """
    return PICTURE + 100 * limit


def largest_question(limit: int) -> int:
    """Bytes of a call of a tool, whose arguments have so many characters of up to twelve bytes."""
    return 100_000 + 12 * limit
