"""Sentences that the training text is put together from.

START's hints (`START_HINTS`) never stand in the training text: a hint must meet the base model
as something new. A test holds that.
"""

from random import Random

#: The math hints and the round hints of START, as matched in lower case.
START_HINTS = (
    "i can use python to perform complex calculations for this problem.",
    "i can use python to check if my approach is correct and refine it, if necessary.",
    "maybe python can assist in ensuring our logical deductions are sound.",
    "i can use python to explore an alternative method for solving this problem.",
    "maybe using python here is a good idea.",
    "i can think more deeply about this problem through python tools.",
    "i need to utilize python code again to meticulously check to make sure",
)

OPENINGS = (
    "Okay, let me work through this.",
    "Let me think step by step.",
    "Alright, I need to solve this.",
    "Let me start with what is asked.",
    "Hmm, let me see.",
    "Okay.",
)
#: Before the same work, or other work, is done once more.
RECHECKS = (
    "Wait, let me check that again.",
    "Wait, is that right? Let me see.",
    "Wait, I should verify this.",
    "Alternatively, I can go through it once more.",
    "Alternatively, I can do it another way.",
    "But let me make sure.",
)
AGREEMENTS = (
    "I get {v} again.",
    "That gives {v} again.",
    "Both ways give {v}.",
    "The result {v} holds.",
)
#: How a thought ends, and how the text after an output ends; {v} is the boxed answer.
CLOSINGS = (
    "So the answer is {v}.",
    "So the answer is {v}.",
    "Therefore the answer is {v}.",
    "The answer is {v}.",
    "So the result is {v}.",
    "I am sure now: the answer is {v}.",
)
#: The same for code tasks.
CODE_CLOSINGS = (
    "So this is the function.",
    "So the function is right.",
    "With this the function is known.",
)
CODE_AGREEMENTS = ("The example fits again.", "It agrees with the example.", "It fits.")
CODE_READINGS = (
    "This is what the example says.",
    "The output is that of the example.",
    "The example agrees.",
    "The code gives the value of the example.",
)
READINGS = (
    "The output is {v}.",
    "The program prints {v}.",
    "The code gives {v}.",
    "Python gives {v}.",
    "The result of the code is {v}.",
    "The last number printed is {v}.",
    "This gives {v}.",
    "So it is {v}.",
)

_OPENERS = (
    *("", "", "Now ", "Here ", "So ", "Next, ", "For this, ", "Let us see: ", "Hmm, "),
    *("But ", "Well, ", "Also, ", "Then ", "Perhaps ", "To be safe, "),
)
_SUBJECTS = (
    "we can use Python to",
    "we use Python to",
    "let us use Python to",
    "I use Python to",
    "I will use Python to",
    "a short Python program can",
    "a few lines of Python can",
    "Python can",
    "it is easy to let Python",
    "Python code can help to",
    "Python tools can",
    "I can run Python to",
)
_PURPOSES = (
    "compute this",
    "do the calculation",
    "do the complex calculations",
    "do the heavy calculations",
    "perform the computation",
    "check the result",
    "check my approach",
    "check if this is correct and correct it if needed",
    "check whether the approach is correct and refine it",
    "make sure that the logic is sound",
    "ensure that our deductions hold",
    "be sure of the logic",
    "explore another method",
    "try an alternative method for this problem",
    "solve this problem",
    "solve the problem in a different way",
    "look more deeply into this problem",
    "think about the question more carefully",
    "confirm each step of the reasoning",
    "find the answer",
    "make sure that the question is understood correctly",
)
_WHOLE = (
    "Using Python here is a good idea.",
    "Perhaps Python is a good idea here.",
    "Maybe a short program is a good idea here.",
    "Using Python would be a good idea for this problem.",
    "It is a good idea to use Python.",
    "Maybe Python can help here.",
    "Maybe using code helps.",
    "Here is a short Python program.",
    "A program for this problem:",
    "In Python:",
    "With Python tools this is quick.",
    "Our logical steps can be checked with Python.",
    "Maybe Python can show that the deductions are sound.",
    "A deeper look, through Python code:",
    "Python code for the same question.",
    "Let me write a program.",
    "I write a few lines of code.",
)
#: Between a lead-in sentence and its fence, as a splice may join them.
FENCE_JOINS = ("\n", "", "\n\n")


def lead_in(rng: Random) -> str:
    """A sentence that announces Python code; one in five all in lower case but for Python."""
    if rng.random() < 0.35:
        text = rng.choice(_WHOLE)
    else:
        opener = rng.choice(_OPENERS)
        text = f"{opener}{rng.choice(_SUBJECTS)} {rng.choice(_PURPOSES)}."
        text = text[0].upper() + text[1:]
    if rng.random() < 0.2:
        text = text.lower() if rng.random() < 0.5 else text[0].lower() + text[1:]
    return lead_in(rng) if any(hint in text.lower() for hint in START_HINTS) else text


#: Between work and the same work once more, outside of thoughts.
SECOND_PASSES = ("Once more: ", "In another way: ", "", "To check: ")
#: Between an output and a second program for the same question.
SECOND_PROGRAMS = (
    "The same with another program.",
    "To be safe, once more.",
    "A second program should print the same.",
)
REPAIRS = (
    "There is an error. Let me correct the code.",
    "The program fails. I correct it based on the error.",
    "That is an error, not a result. The corrected program:",
    "A name is missing. Here is the repaired code.",
)
#: What a user writes around a pasted run.
PASTES = (
    "{q}\n\nI ran this program:\n{run}",
    "{q}\n\nHere is a program and what it prints:\n{run}What is the answer?",
    "I have this question: {q}\n\n{run}Is this the answer?",
    "{run}\nThe question was: {q}",
)
READING_OPENINGS = (
    "Okay, let me look at the output.",
    "The user has run a program.",
    "Let me read the output.",
    "Okay.",
)
USE_PYTHON = (" Use Python.", " Write Python code for this.", " Solve it with a program.", "")
SYSTEMS = ("You are a helpful assistant.", "Answer the question.", "Think step by step.")
#: How a user gives back the output of code that the assistant wrote.
OUTPUT_TURNS = ("{output}", "{output}", "It prints:\n{output}", "The output is\n{output}")
