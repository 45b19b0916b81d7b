r"""The rules of the reader one by one, most of them faults of earlier readings."""

from __future__ import annotations

import pytest

from start_sdk._text.events import Event
from start_sdk._text.reader import Reader
from start_sdk.formats import PLAIN, THINK, ReasoningFormat

TAG_AS_TEXT = ReasoningFormat(tag_is_token=False)
TRIGGERS = ("Wait", "Alternatively", "等等", "=")
CODE = "print(1)\n"


def read(
    text: str, notation: ReasoningFormat = THINK, *, finish: bool = True, source: str = "model"
) -> list[Event]:
    """The events of a text, in which "</think>" is one token where the notation says so."""
    reader = Reader(notation, TRIGGERS)
    parts = text.split("</think>") if notation.tag_is_token else [text]
    events = [*reader.feed(parts[0], source=source).events]
    for part in parts[1:]:
        events += reader.feed("</think>", control=True).events
        events += reader.feed(part).events
    return [*events, *(reader.finish().events if finish else ())]


def blocks(text: str, notation: ReasoningFormat = THINK) -> list[tuple[str, str]]:
    """Language and code of the blocks that a text closes."""
    return [(event.text, event.code) for event in read(text, notation) if event.kind == "block"]


def fired(text: str) -> list[str]:
    """What precedes the insertion point of each trigger."""
    return [text[: event.at] for event in read(text) if event.kind == "trigger"]


def answers(text: str) -> list[str]:
    """What precedes the answer that a thought without tags opens."""
    return [text[: event.at] for event in read(text, PLAIN) if event.kind == "answer"]


@pytest.mark.parametrize("opening", [
    "```python", "``` python", "```Python", "```PYTHON ", "```python\t", "```python title=\"a.py\"",
    "```python {.numbers}", "```{python}", "```{.python}", "```{ .python #x }", "~~~python",
    "~~~ Python", "````python", "   ```python", "```python\r", "So I compute.```python",
    "So I compute. ```{python}",
])  # fmt: skip
def test_an_opening_fence_names_a_language_in_any_of_these_ways(opening: str) -> None:
    fence = opening.split("python")[0].split("Python")[0].split("PYTHON")[0]
    closing = "~~~" if "~" in fence else "````" if "````" in fence else "```"
    assert blocks(f"Hm.\n{opening}\n{CODE}{closing}\n") == [("python", CODE)]


@pytest.mark.parametrize(
    "line", ["use ```python blocks", "    ```python", "x = `a` ```", "``python", "``` `python`"]
)
def test_a_line_of_prose_with_marks_in_it_opens_no_block(line: str) -> None:
    assert blocks(f"{line}\n{CODE}\n") == []


@pytest.mark.parametrize("closing", [
    "```\n", "```  \n", "```\t\n", "```\r\n", "``` \r\n", "   ```\n", "`````\n", "```", "``` ",
    "```</think>", "```\n</think>", "```  </think>",
])  # fmt: skip
@pytest.mark.parametrize("notation", [THINK, TAG_AS_TEXT], ids=["token", "text"])
def test_a_closing_fence_may_be_followed_by_blanks_the_tag_or_the_end(
    closing: str, notation: ReasoningFormat
) -> None:
    assert blocks(f"```python\n{CODE}{closing}", notation) == [("python", CODE)]


@pytest.mark.parametrize(
    "line", ["``", "~~~", "    ```", "``` x", "```python3", "x```", "``` and more</think>"]
)
def test_other_lines_close_no_block(line: str) -> None:
    assert blocks(f"```c\n{CODE}{line}\n") == []


def test_a_block_closes_at_the_end_of_its_fence_s_line() -> None:
    text = f"```python\n{CODE}```  \nSo 1."
    assert read(text) == [Event("block", text.index("So"), text.index("So"), "python", CODE)]


def test_a_block_that_the_tag_closes_comes_before_the_end_of_thinking() -> None:
    text = f"```python\n{CODE}```</think>"
    at = text.index("</think>")
    closed = Event("block", at, at, "python", CODE)
    assert read(text) == [closed, Event("end", at, len(text), "</think>")]


def test_a_thought_can_end_inside_a_block() -> None:
    text = f"```python\n{CODE}</think>"
    at = text.index("</think>")
    assert read(text) == [Event("end", at, len(text), "</think>", in_block=True)]


DOCSTRING = 'def f():\n    """Reads\n```python\nx\n```\n    """\n    return 1\n'


@pytest.mark.parametrize("code", [
    DOCSTRING, "s = '''\n```\n'''\nprint(s)\n", 's = r"""\\\n~~~\n```\n"""\n', 's = f"""{x}\n```\n"""\n',
    "s = '''\n```\n''' + '''\n```\n'''\n", "s = '''\n" + "```\n" * 60 + "'''\n",
])  # fmt: skip
def test_a_fence_in_a_triple_quoted_string_is_code(code: str) -> None:
    assert blocks(f"```python\n{code}```\n") == [("python", code)]


@pytest.mark.parametrize("code", [
    "# it's '''\n", "s = \"'''\"\n", "s = ''\n", "s = '\\'''\n", "s = '''a'''\n", "it's\n",
])  # fmt: skip
def test_quotes_that_open_no_such_string_protect_no_fence(code: str) -> None:
    assert blocks(f"```python\n{code}```\nmore\n```\n") == [("python", code)]


def test_an_unfinished_string_protects_a_fence_for_sixty_lines() -> None:
    code = "s = '''\n" + "x\n" * 60
    assert blocks(f"```python\n{code}```\n") == [("python", code)]
    assert read(f"```python\n{code[:-2]}```\n", finish=False) == []


@pytest.mark.parametrize("end", ["", "</think>", "So 1.</think>", "```", "\n\nSo 1."])
def test_an_unfinished_string_protects_no_fence_beyond_the_end(end: str) -> None:
    code = "print(1)\ns = '''\n"
    assert blocks(f"```python\n{code}```\n{end}") == [("python", code)]
    assert blocks(f"```python\n{code}'''\n```\n{end}") == [("python", f"{code}'''\n")]


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("````markdown\n```python\n1\n```\n````\n", [("markdown", "```python\n1\n```\n")]),
        ("````python\n```\n````\n", [("python", "```\n")]),
        ("~~~text\n```python\n1\n```\n~~~\n", [("text", "```python\n1\n```\n")]),
        ("```text\n```python\n```\n", [("text", "```python\n")]),
    ],
)
def test_a_fence_in_a_block_of_another_kind_is_content(
    text: str, closed: list[tuple[str, str]]
) -> None:
    assert blocks(text) == closed


@pytest.mark.parametrize("before", ["```python\n[A template]\n", "```output\n[...]\nNow.\n"])
def test_a_language_in_a_block_of_code_or_output_opens_a_new_block(before: str) -> None:
    assert blocks(f"{before}```python\n{CODE}```\n") == [("python", CODE)]


def test_a_block_knows_whether_a_hint_opened_it() -> None:
    for hint in (
        "Hm.\n```python",
        "Hm.```python\n",
        "```python\n[A template]\n```output\n.```python",
    ):
        reader = Reader(THINK)
        assert reader.feed(hint, source="hint").events == ()
        events = reader.feed(f"\n{CODE}```\n").events
        assert [(e.text, e.code.strip(), e.hinted) for e in events] == [
            ("python", CODE.strip(), True)
        ]
        assert [e.hinted for e in reader.feed(f"```python\n{CODE}```\n").events] == [False]


@pytest.mark.parametrize(
    "hint", ["Wait, = so.\n", f"```python\n{CODE}```\n", "\\boxed{4}", "</think>"]
)
@pytest.mark.parametrize("notation", [THINK, TAG_AS_TEXT, PLAIN], ids=["token", "text", "plain"])
def test_a_hint_is_never_an_event(hint: str, notation: ReasoningFormat) -> None:
    assert Reader(notation, TRIGGERS).feed(hint, source="hint").events == ()


@pytest.mark.parametrize("open_", ["```python\n1\n", "So $x", "\\begin{a}", 'It says "', "> "])
@pytest.mark.parametrize("source", ["tool", "notice"])
def test_an_output_leaves_nothing_open(open_: str, source: str) -> None:
    reader = Reader(THINK, TRIGGERS)
    reader.feed(open_)
    reader.feed("```output\n'''\n$\n```\n", source=source)
    assert reader.block is None and not reader.in_formula
    assert [event.kind for event in reader.feed("Wait, no.").events] == ["trigger"]


@pytest.mark.parametrize(("text", "before"), [
    ("So Wait, no", ["So Wait"]), ("Wait", ["Wait"]), ("Wait</think>", ["Wait"]), ("Wait\n", ["Wait"]),
    ("Waiting await AWait Wait5 _Wait", ["Waiting await AWait Wait5 _Wait"]), ("x = 1", ["x ="]), ("好等等再等等", ["好等等", "好等等再等等"]),
    ("a.Wait.b", ["a.Wait"]), ("Wait Wait.", ["Wait", "Wait Wait"]),
])  # fmt: skip
def test_a_trigger_is_a_whole_word(text: str, before: list[str]) -> None:
    assert fired(text) == before


@pytest.mark.parametrize(
    "quote", ['It says "Wait', "It says “Wait", "> Wait", "as asked:\n > 2 + 2? Wait"]
)
def test_a_quoted_trigger_is_passed_over_until_its_line_ends(quote: str) -> None:
    text = f"{quote} for 5 minutes.\nWait"
    assert fired(text) == [text]


@pytest.mark.parametrize("text", [
    "```python\n# Wait\n", "so $x Wait", "\\[ Wait", "\\(Wait", "\\begin{align} Wait", "$$ Wait $",
    "```python Wait", "<Wai", "\\begin{a}\\begin{a}\\end{a} Wait", "$x\nWait", "`````Wait",
])  # fmt: skip
def test_no_trigger_fires_in_code_formulas_or_the_line_of_a_fence(text: str) -> None:
    assert fired(text) == []


@pytest.mark.parametrize("text", [
    "$x$ Wait", "\\[ x \\] Wait", "\\(a\\)Wait", "\\begin{a}1\\end{a} Wait", "$$ x $ y $$ Wait",
    "it costs $5. Wait", "it costs $1,250.50 in all. Wait", "from $5 to $10. Wait", "$5$ Wait",
    'It says "5" and “6”. Wait', 'a 3" or 4" pipe. Wait', "5 > 4. Wait",
    "\\$x Wait", "x \\\\[6pt] Wait", "\\beginx{ Wait", "只要$5元。Wait", "$2x$ and $5 + 3$. Wait",
])  # fmt: skip
def test_a_trigger_fires_after_formulas_prices_and_quotations(text: str) -> None:
    assert fired(text) == [text]


@pytest.mark.parametrize("text", [
    "re.split(r'\\[', s)", "kill $$", "so $x = 1", "\\begin{align} 1", "\\[ x", "it's $5-10 a day",
    "$PATH", "\\(",
])  # fmt: skip
def test_what_is_left_open_ends_with_the_next_blank_line(text: str) -> None:
    text += "\nWait, no.\n \nWait"
    assert fired(text) == [text]


def test_a_trigger_in_what_may_become_a_marker_or_a_tag_does_not_fire() -> None:
    for notation, text in ((PLAIN, "**Final Answer**"), (TAG_AS_TEXT, "</think>")):
        reader = Reader(notation, ("Final", "think", "Wait"))
        assert [event.text for event in reader.feed(f"Wait. {text}").events] == ["Wait", text]


def test_a_formula_left_open_ends_where_a_block_opens() -> None:
    assert blocks(f"So $x\n```python\n{CODE}```\n") == [("python", CODE)]


def test_a_tag_that_is_one_token_counts_only_as_that_token() -> None:
    assert Reader(THINK).feed("</think>").events == ()
    assert Reader(PLAIN).feed("</think>", control=True).events == ()
    for notation in (THINK, TAG_AS_TEXT):
        reader = Reader(notation)
        assert [e.kind for e in reader.feed("</think>", control=True).events] == ["end"]


def test_other_control_tokens_are_read_as_text() -> None:
    reader = Reader(THINK)
    for text, control in (("```python", False), ("\n", True), ("x", False), ("\n\n", True)):
        reader.feed(text, control=control)
    assert [e.code for e in reader.feed("```\n", control=True).events] == ["x\n\n"]


@pytest.mark.parametrize("notation", [THINK, TAG_AS_TEXT], ids=["token", "text"])
def test_a_second_tag_is_an_event_too(notation: ReasoningFormat) -> None:
    kinds = [event.kind for event in read("4.</think>So</think> 4 Wait.", notation)]
    assert kinds == ["end", "end"]


@pytest.mark.parametrize("text", ["So </thin", "So <", "So </think", "**Final", "\\box"])
def test_what_may_become_a_tag_or_a_marker_is_withheld(text: str) -> None:
    notation = TAG_AS_TEXT if "<" in text else PLAIN
    step = Reader(notation).feed(text)
    assert step == ((), text.index("<") if "<" in text else 0)


@pytest.mark.parametrize(("text", "before"), [
    ("So \\boxed{4}", "So "), ("So\n**Final Answer**\n4", "So\n"), ("So \\(x\\): \\boxed{4}", "So \\(x\\): "),
    ("So $n = \\boxed{4}$.", "So $n = \\boxed{4}$"), ("\\[\n\\boxed{4}\n\\]\n", "\\[\n\\boxed{4}\n\\]"),
    ("$$\\boxed{4}$$ ok", "$$\\boxed{4}$$"), ("It costs $5: \\boxed{5}", "It costs $5: "),
    ("$\\boxed{4}\n\nok", "$\\boxed{4}\n\n"), ("$\\boxed{4}", "$\\boxed{4}"),
    ("\\begin{a}\\boxed{4}\\end{a} ok", "\\begin{a}\\boxed{4}\\end{a}"),
])  # fmt: skip
def test_an_answer_opens_at_its_marker_or_after_the_formula_around_it(
    text: str, before: str
) -> None:
    assert answers(text) == [before]


def test_a_hint_after_a_marker_in_a_formula_continues_the_thought() -> None:
    reader = Reader(PLAIN, TRIGGERS)
    assert reader.feed("So $n = \\boxed{4}").events == ()
    assert reader.feed("$ Wait, use python.", source="hint").events == () and reader.thinking
    assert [event.kind for event in reader.feed(" Wait $x$ \\boxed{5}").events] == [
        "trigger",
        "answer",
    ]


@pytest.mark.parametrize("text", [
    "```python\nprint('\\boxed{%d}')\n", "```python\n# **Final Answer**\n```\n", "\\boxe d", "**Final**",
])  # fmt: skip
def test_a_marker_in_code_opens_no_answer(text: str) -> None:
    assert answers(text) == []


def test_whether_a_string_protects_a_hints_fence_is_decided_at_the_end_of_its_line() -> None:
    reader = Reader(THINK)
    reader.feed('```python\ny = """\n')
    reader.feed("x.```python", source="hint")
    (event,) = reader.feed('"""\n\n```\n').events
    assert (event.text, event.code, event.hinted) == ('python"""', "\n", True)
