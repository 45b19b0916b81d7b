"""The text of a cell, assembled from the pieces that arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from start_tools.python.output import Output

PIECES = st.lists(st.text(st.sampled_from("ab\n\r\x1b[m3\0\ud800"), max_size=40), max_size=10)


def whole(pieces: list[str], max_chars: int) -> Output:
    output = Output(max_chars)
    for piece in pieces:
        output.add(piece)
    return output


@given(PIECES)
def test_where_the_pieces_are_split_does_not_matter(pieces: list[str]) -> None:
    split, joined = whole(pieces, 2000), whole(["".join(pieces)], 2000)

    assert split.text() == joined.text()


@given(PIECES)
def test_kept_and_cut_characters_add_up_to_the_input(pieces: list[str]) -> None:
    everything, some = whole(pieces, 2000), whole(pieces, 20)
    kept = len(some.text()) - (len(f"\n[... {some.cut:,} characters left out ...]\n"))

    assert some.seen == everything.seen == sum(map(len, pieces))
    assert kept <= 20 or not some.cut


def test_a_carriage_return_overwrites_the_line() -> None:
    assert whole(["10%", "\r20%", "\r", "30%\nend\r\nx"], 200).text() == "30%\nend\nx"


def test_memory_is_bounded_by_max_chars() -> None:
    output = Output(100)
    for _ in range(1000):
        output.add("x" * 1000)

    assert output.seen == 1_000_000 and output.cut == 1_000_000 - 100
    assert len(output.text()) < 200


def test_what_the_kernel_left_out_is_counted_and_marked_in_place() -> None:
    output = Output(200)
    output.add(["first", 5000, "last"])
    output.add(" more")

    assert output.text() == "first\n[... 5,000 characters left out ...]\nlast more"
    assert (output.cut, output.seen) == (5000, 5014)


def test_a_block_begins_and_ends_a_line() -> None:
    output = Output(200)
    for piece in ("a", "b\n"):
        output.add(piece)
        output.add_block("value")

    assert output.text() == "a\nvalue\nb\nvalue"


def test_a_piece_that_is_not_text_is_ignored() -> None:
    output = Output(200)
    for piece in (None, 3, ["a"], ["a", "b", "c"], {"text": "x"}):
        output.add(piece)

    assert output.text() == ""
