"""Which blocks a session runs, and what is no answer. Reported of other programs, see each test."""

from __future__ import annotations

import pytest

from start_sdk import Limits, ReasoningSession, Trace, verify_trace
from start_sdk.testing import FakeInterpreter, ScriptedBackend


async def run(
    *script: str, output: str = "1", limits: Limits | None = None
) -> tuple[Trace, list[str]]:
    cells = FakeInterpreter(lambda code: output)
    backend = ScriptedBackend(script)
    trace = await ReasoningSession(backend, interpreter=cells, limits=limits).run("Q?")
    verify_trace(trace, backend.tokenizer)
    return trace, [code.replace("\r", "") for code in cells.ran]


@pytest.mark.parametrize(
    "text",
    [
        "Let me.\n```python\nprint(1)\n```  \nThen.</think>1",
        "Let me.\n```python\nprint(1)\n```\t\nThen.</think>1",
        "Let me.\r\n```python\r\nprint(1)\r\n```\r\nThen.</think>1",
        "Let me.\n```python\nprint(1)\n```</think>1",
        "Let me.\n```python\nprint(1)\n```  </think>1",
        "Let me.\n```python\nprint(1)\n`````\n",
        "Let me.\n```python\nprint(1)\n  ```\n",
        "Let me.\n```python\nprint(1)\n```\n",
        "Let me.\n```python\nprint(1)\n```",
    ],
)
async def test_a_block_may_be_closed_in_any_way_that_markdown_allows(text: str) -> None:
    """simonw/llm#1644, tree-sitter-grammars/tree-sitter-markdown#135, Zoo-Code-Org/Zoo-Code#1188"""
    trace, ran = await run(text, "So 1.</think>1")
    assert ran == ["print(1)\n"] and trace.answer == "1"


@pytest.mark.parametrize(
    "opening",
    [
        *(
            "```python",
            "``` python",
            '```python title="a.py"',
            "```{python}",
            "```{python, echo=F}",
        ),
        *(
            "~~~python",
            "~~~ python",
            "```Python",
            "```py",
            "```python3",
            "````python",
            "   ```python",
        ),
    ],
)
async def test_a_block_may_be_opened_in_any_way_that_markdown_allows(opening: str) -> None:
    """simonw/llm#1695, huggingface/smolagents#981"""
    fence = opening.strip()[0] * (4 if opening.startswith("````") else 3)
    trace, ran = await run(f"A\n{opening}\nprint(1)\n{fence}\nB</think>1", "So 1.</think>1")
    assert ran == ["print(1)\n"] and trace.answer == "1"


@pytest.mark.parametrize(
    "text",
    [
        "A\n```python\nprint(1)\n~~~\nB</think>1",  # another fence
        "A\n````python\nprint(1)\n```\nB</think>1",  # a shorter one
        "A\n```python\nprint(1)\n``` and\nB</think>1",
        "A\n    ```python\nprint(1)\n    ```\nB</think>1",  # indented code
        "A ```python and more\nprint(1)\n```\nB</think>1",
        "A\n```pycon\nprint(1)\n```\nB</think>1",
        "A\n```\nprint(1)\n```\nB</think>1",
    ],
)
async def test_what_is_no_closed_block_of_python_is_not_run(text: str) -> None:
    _, ran = await run(text)
    assert ran == []


async def test_a_notice_of_the_session_is_never_the_answer() -> None:
    """PrimeIntellect-ai/verifiers#213: nothing is an answer while the thought is not over."""
    trace, _ = await run("I think so. " * 400, limits=Limits(max_repeats=10))
    assert trace.answer is None and trace.truncated
    assert any(s.source == "notice" for s in trace.segments)


@pytest.mark.parametrize("output", ["OUT", "The answer is 7.", "\\boxed{7}"])
async def test_an_output_is_never_the_answer(output: str) -> None:
    trace, ran = await run("A\n```python\nprint(1)\n```\n", "", output=output)
    assert ran == ["print(1)\n"] and trace.answer is None
    assert output in trace.text
