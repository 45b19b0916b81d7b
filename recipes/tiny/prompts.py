"""Ways to ask for Python without a hint: what the paper compares its hints with."""

from start_sdk import Message

#: Two solved questions of no family of the world, in the form that a call and its output have.
SHOTS = (
    (
        "What is the sum of the squares of 3, 5 and 8?",
        "I need the sum of three squares. Python can compute this.\n"
        "```python\nprint(3**2 + 5**2 + 8**2)\n```\n```output\n98\n```\n"
        "The answer is \\boxed{98}.",
    ),
    (
        "How many of the numbers 12, 35, 70 and 9 are greater than 11?",
        "I count the numbers that are greater than 11. Python can compute this.\n"
        "```python\nprint(sum(1 for x in [12, 35, 70, 9] if x > 11))\n```\n```output\n3\n```\n"
        "The answer is \\boxed{3}.",
    ),
)
DIRECT = " Use Python."
DESIGNED = (
    " Think step by step. Do not work anything out by hand: wherever a step is a calculation, write"
    " Python code in a ```python block. It will be run, and you will see its output."
)
PROMPTS = ("plain", "direct", "designed", "few-shot")


def with_prompt(prompt: str, question: str) -> str | list[Message]:
    """The question alone, with a wish for Python, or behind two solved questions as well."""
    if prompt == "plain":
        return question
    if prompt == "designed":
        return question + DESIGNED
    asked = question + DIRECT
    if prompt == "direct":
        return asked
    shots: list[Message] = []
    for shot, solution in SHOTS:
        shots.append(Message(role="user", content=shot + DIRECT))
        shots.append(Message(role="assistant", content=solution))
    return [*shots, Message(role="user", content=asked)]
