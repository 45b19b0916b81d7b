"""Size limits of messages. The kernel keeps to them, and its host reads nothing larger."""

PICTURE = 2_000_000
"""Maximum size of a picture, in base64 characters; larger ones are not sent."""


def largest_message(limit: int) -> int:
    """Maximum size in bytes of a message with a picture and some texts.

    Parsing a hostile message (JSON of small objects) takes the host up to 30 times as much memory.

    Args:
        limit: characters kept from each end of a text, of up to 12 bytes each.
    """
    return PICTURE + 100 * limit


def largest_question(limit: int) -> int:
    """Maximum size in bytes of a tool call with `limit` characters of arguments (12 bytes each)."""
    return 100_000 + 12 * limit
