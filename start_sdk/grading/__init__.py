"""Extracts and compares answers, shuffles multiple-choice options.

Programs are judged by `start_sdk.grading.programs`; statistics over graded samples are in
`start_sdk.grading.statistics`.
"""

from start_sdk._text.answers import final_answer, last_number
from start_sdk._text.boxes import last_boxed
from start_sdk.grading._choice import Choices, shuffled
from start_sdk.grading._compare import Verdict
from start_sdk.grading._extract import choice_letter, last_code_block
from start_sdk.grading._grader import Grader, grade_all

__all__ = [
    "Choices",
    "Grader",
    "Verdict",
    "choice_letter",
    "final_answer",
    "grade_all",
    "last_boxed",
    "last_code_block",
    "last_number",
    "shuffled",
]
