"""Extracts and compares answers, judges programs, shuffles multiple-choice options.

Statistics over graded samples are in `start_sdk.grading.statistics`.
"""

from start_sdk._text.answers import final_answer, last_number
from start_sdk._text.boxes import last_boxed
from start_sdk.grading._choice import Choices, shuffled
from start_sdk.grading._compare import Verdict
from start_sdk.grading._extract import choice_letter, last_code_block
from start_sdk.grading._grader import Grader, grade_all
from start_sdk.grading.programs import (
    ProgramLimits,
    ProgramRun,
    ProgramTest,
    ProgramVerdict,
    run_program,
)

__all__ = [
    "Choices",
    "Grader",
    "ProgramLimits",
    "ProgramRun",
    "ProgramTest",
    "ProgramVerdict",
    "Verdict",
    "choice_letter",
    "final_answer",
    "grade_all",
    "last_boxed",
    "last_code_block",
    "last_number",
    "run_program",
    "shuffled",
]
