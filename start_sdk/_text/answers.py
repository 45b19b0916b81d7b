r"""The answer in a model's text: a box, "the answer is ...", a formula, a number.

The text is untrusted: every function runs in time linear in its length. No pattern here has two
unbounded parts that can match the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from start_sdk._text.boxes import boxed_answer, last_boxed
from start_sdk._text.events import Written
from start_sdk._text.reader import Reader

_STATED = re.compile(
    r"\banswers?\b[*_]{0,2} {0,4}(?:\([^()\n]{0,30}\) {0,4}|(?:to|for) [^.:\n]{1,60}? )?"
    r"(?:(?:is|are|equals)\b:?|[:=：])[ *_]{0,8}\s{0,8}"
    r"|(?:\*\*|^#{1,6} {1,4})(?:(?:final )?answer|(?:最终)?答案|antwort)"
    r"[:：]?(?:\*\*)?[:：]?\s{1,8}"
    r"|(?:答案|结果)[*_ ]{0,4}(?:(?:应该|应|就)?(?:是|为|等于)|[:：=])[\s*_:：]{0,8}"
    r"|\b(?:antwort|lösung|(?:end)?ergebnis)(?:en|se)?\b[*_]{0,2} {0,4}"
    r"(?:(?:ist|sind|lautet|lauten|beträgt)\b:?|[:=])[ *_]{0,8}\s{0,8}"
    r"|\b(?:respuesta|réponse)(?: finale?| correcta)?\b[*_]{0,2} {0,4}"
    r"(?:(?:es|est)\b:?|[:=])[ *_]{0,8}\s{0,8}"
    r"|\b(?:ответ|risposta|resposta)\b[*_]{0,2} {0,4}(?:[:=]|è\b|é\b)[ *_]{0,8}\s{0,8}"
    r"|정?답[*_ ]{0,4}[:：은는]\s{0,8}|<answer>\s{0,8}",
    re.IGNORECASE | re.MULTILINE,
)
_THOUGHT_END = "</think>"
_WORD = re.compile(r"(?<![\\A-Za-z])(?:[A-Za-z]{3,}|is\b)")
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.])[-−]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")
_TEXT_GROUP = re.compile(r"\\(?:text\w{0,6}|mbox|mathrm|operatorname|begin|end)\s?\{[^{}]*\}")
_CALL = re.compile(r"(?<![\w.\\])(?:[A-Za-z_]\w{0,30}\.){0,3}[A-Za-z_]\w{1,30}\(")
_SENTENCE_WORDS = {"answer", "the", "are", "is", "get", "got", "have", "has"}
_FUNCTIONS = {
    "sqrt", "sin", "cos", "tan", "log", "exp", "infinity", "fraction", "rational", "matrix",
    "array", "decimal", "interval", "finiteset", "factorial", "binomial", "abs", "union",
    "all", "real", "reals", "numbers", "except",
}  # fmt: skip
_FORMULA = re.compile(r"(?:\\[(\[]|\$\$?)((?:[^$\\\n]|\\[^)\]\n]|\n(?!\n))+)(?:\\[)\]]|\$)")
_INLINE = re.compile(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$|\\\(((?:[^\\]|\\[^()])+)\\\)")
_AND = re.compile(r"\s{0,4}(?:,?\s{0,4}(?:and|or|und|oder)\b|[,、，和或])\s{0,4}")
_SENTENCE_END = re.compile(
    r"\.(?=\s|$)|。|</answer>|,? (?:since|because|where|which|I (?:think|guess))\b"
)
_ENVIRONMENT = re.compile(r"\\begin\{((?:equation|align|gather|multline)\*?)\}")
_FENCED = re.compile(
    r"(?:^|\n)(`{3,9}|~{3,9})(?:text|txt|plaintext|output|math|latex)? ?\n([^\n]{1,300})\n\1"
)
_PROGRAM = re.compile(r"\b(?:print|return|import|input)\b")
_MARKS = re.compile(r"#{1,6}\s{1,4}")
_DECORATION = re.compile(r"[\s\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff\ufe0f]*")
_A_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?")
_EQUALS = re.compile(r"\s{0,3}(?:is|equals|must be|has to be|ist|beträgt|=|的?值?[为是]|等于)\W")
_OF_SEVERAL = re.compile(r"[A-Za-z]\w{0,9} {0,3}[-+*/] {0,3}[A-Za-z][^=]{0,60}=")  # a + b = 7
_IS_NUMBER = re.compile(r"\b(?:is|equals) {1,3}(-?\d[\d.,/]{0,40}?)\.?$")
_CONDITION = re.compile(r"\b(?:if|where|when|since|as|because|for|with)\b")
_IS = re.compile(r"(?:\b(?:is|are|equals|be)\b|[:=])")
_PAIR = re.compile(r"(?<= )\((?=[^()]{0,60}\d)[^()]{1,60},[^(),]{1,60}\)$")
_OPERATOR = re.compile(r"[\^*/+(]|\w -|- ?\w")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_DISPLAYS = ((r"\[", r"\]"), ("$$", "$$"), (r"\begin{", "}"))
_ROWS = re.compile(r"\\(?:begin|end)\{(?:align|gather|split)(?:ed)?\*?\}")
_MATRIX = re.compile(r"(?:\\begin\{)?(?:[pbvBV]?(?:small)?matrix|array|cases)\}")
_BEFORE_FORMULA = re.compile(r"(?:So|We|By),? .{0,40}(?:\$|\\\()")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


class _Fences:
    """The notation of a text of which only the fences matter."""

    end_tag, tag_is_token, answer_markers, languages = "", False, (), ("python",)


def prose(segments: Iterable[Written]) -> str:
    """What a model wrote, without blocks of code, hints, outputs and notices."""
    reader, found = Reader(_Fences()), []
    for segment in segments:
        if segment.phase in ("prompt", "close"):
            continue
        for line in segment.text.splitlines(keepends=True):
            before = reader.block
            reader.feed(line, source=segment.source)
            if segment.source == "model" and before is None and reader.block is None:
                found.append(line)
        if found and segment.source != "model":
            found.append("\n\n")
    return "".join(found)


def answer_of(segments: Sequence[Written]) -> str | None:
    """The answer of a whole trace (see `Trace.answer`)."""
    own = [s for s in segments if s.source == "model" and s.phase == "answer"]
    written = "".join(s.text for s in own).strip()
    response = "".join(s.text for s in segments if s.phase == "answer").strip()
    if written and (stated := stated_answer(response)):
        return stated
    tagged = any(s.phase == "close" for s in segments[:-1])
    if written and tagged:
        return written
    words = prose(own).strip()  # of a response without a statement: no program in it
    return stated_answer(prose(segments)) or (words if any(map(str.isalnum, words)) else None)


def text_to_grade(segments: Sequence[Written]) -> str | None:
    """The text of a trace in which its answer is looked for: the response, if the model wrote one,
    else its own prose, if that states an answer; else None."""
    answers = [s for s in segments if s.phase == "answer"]
    if any(s.source == "model" and s.text.strip() for s in answers):
        return "".join(s.text for s in answers)
    words = prose(segments)
    return words if stated_answer(words) is not None else None


def stated_answer(text: str) -> str | None:
    r"""What a text states as its answer: its last boxes (see `boxed_answer`), else what follows its
    last "the answer is" or a heading "Final Answer"; None if it states none."""
    text = text.strip()
    if (boxed := boxed_answer(text)) is not None:
        return boxed
    ends = [stated.end() for stated in _STATED.finditer(text)]
    return _from_sentence(text[ends[-1] : ends[-1] + 2_000]) if ends else None


def final_answer(text: str) -> str | None:
    r"""The answer in a response, as written there; None if there is none. What follows the end of
    a thought, `</think>`, is the response.

    Tried in this order: the last boxes that are not empty; the last "the answer is ..."; a text or
    last line that is only an answer; a display formula at the end; what is bold in the last line,
    its last formula, its last number.
    """
    text = _unmarked(text.rpartition(_THOUGHT_END)[2].strip() or text.strip())
    found = stated_answer(text)
    if found is not None or last_boxed(text) is not None:
        return found
    fenced = list(_FENCED.finditer(text))
    if fenced and fenced[-1].end() == len(text) and (value := _value(fenced[-1])):
        return value
    if len(text) <= 2_000 and _is_bare(text):
        return text or None
    if shown := _last_display(text[-2_000:]):
        return shown
    last_line = _unmarked(text.rpartition("\n")[2].strip())
    if len(last_line) <= 2_000 and _is_bare(last_line):
        return last_line
    bold: list[str] = _BOLD.findall(last_line)
    with_digits = [found for found in bold if re.search(r"\d", found)]
    if with_digits and _is_bare(with_digits[-1]):
        return with_digits[-1]
    found = _last_formula(last_line) or _plain_formula(last_line) or last_number(last_line)
    return found or (bold[-1] if bold and _is_bare(bold[-1]) else None)


def _unmarked(text: str) -> str:
    """A text or line without the mark of a heading, or an arrow: `#### 42`."""
    marks = _MARKS.match(text) or _DECORATION.match(text)
    return text[marks.end() :] if marks else text


def _value(fenced: re.Match[str]) -> str | None:
    """The line in a block without a language, or of output, if it is no program."""
    line = fenced[2].strip()
    return line if _is_bare(line) and not _PROGRAM.search(line) else None


def _from_sentence(rest: str) -> str | None:
    """The answer at the beginning of the text after "the answer is"."""
    rest = rest[_DECORATION.match(rest).end() :]  # type: ignore[union-attr]
    if opened := _ENVIRONMENT.match(rest):
        inside, closing, _ = rest[opened.end() :].partition(rf"\end{{{opened[1]}}}")
        return _last_row(inside, rows=True) if closing else None
    formulas, at = [], 0
    while delimited := _FORMULA.match(rest, at):  # "$2$, $3$ and $5$" are one answer
        formulas.append(_last_row(delimited[1].strip(" $\n")) or "")
        joint = _AND.match(rest, delimited.end())
        at = joint.end() if joint else len(rest)
    if formulas:
        return ", ".join(formulas) or None
    if rest.lstrip().startswith(("```", "~~~")):
        fenced = _FENCED.match(rest.lstrip())
        return _value(fenced) if fenced else None  # a program, not a word
    line = _SENTENCE_END.split(rest.lstrip(" :}\n\t\r").partition("\n")[0], maxsplit=1)[0]
    line = line.lstrip(" *_`").rstrip(" *_.`")
    if _is_bare(line):
        return line or None
    if (formula := _last_formula(line)) or not re.search(r"\d", line):
        return formula or line
    number = _NUMBER.search(line)
    return number[0] if number else line


def _is_bare(text: str) -> bool:
    """Whether a text is only an answer, perhaps with a unit, without a sentence around it."""
    text = _CALL.sub("(", _TEXT_GROUP.sub("", text))
    if _CHINESE.search(text.lstrip("$\\([{ ")[:1]) or _BEFORE_FORMULA.match(text):
        return False  # a sentence; a unit follows its number
    words = {w.lower() for w in _WORD.findall(text)} - _FUNCTIONS
    if len(words) > 2 or words & _SENTENCE_WORDS:
        return False
    before, digit, _ = re.split(r"(\d|$)", text, maxsplit=1)
    if digit and _CHINESE.search(before):
        return False
    return not digit or not {w.lower() for w in _WORD.findall(before)} - _FUNCTIONS


def _last_display(text: str) -> str | None:
    """The display formula at the end of a text: of several lines the last."""
    text = text.rstrip(" .,*\n")
    for opening, closing in _DISPLAYS:
        start = text.rfind(opening, 0, len(text) - len(closing)) if text.endswith(closing) else -1
        if start < 0:
            continue
        inside = text[start + len(opening) : -len(closing)]
        if closing == "}":
            if _MATRIX.match(inside):
                return text[start:]
            inside = inside.partition("}")[2].rpartition(r"\end{")[0]
        return _last_row(inside, closing == "}") if inside.strip() else None
    return None


def _last_row(formula: str, rows: bool = False) -> str | None:
    """The last row of a formula that has some, or is in an environment of rows."""
    inside = re.split(r"& ?=", _ROWS.sub("", formula))[-1]
    if rows and not _MATRIX.search(inside):
        found = [row for row in re.split(r"\\\\", inside) if row.strip()]
        inside = found[-1].replace("&", "") if found else ""
    return inside.strip() or None


def _last_formula(line: str) -> str | None:
    r"""The content of the last `$...$` or `\(...\)` of a line; of several that are joined by a
    comma or a word such as "or", all. The number of "$x$ is 7" and "$2^9$ modulo 7 is 1"."""
    found = list(_INLINE.finditer(line))
    if not found:
        return None
    last = (found[-1][1] or found[-1][2]).strip()
    after = line[found[-1].end() :]
    if _A_NAME.fullmatch(last) and (verb := _EQUALS.match(after)):
        if number := last_number(after[verb.end() - 1 :]):
            return number
    elif (stated := _IS_NUMBER.search(after)) and not _CONDITION.search(after):
        return str(stated[1])
    group = [found[-1]]
    for formula in () if _OF_SEVERAL.match(last) else reversed(found[:-1]):
        if not _AND.fullmatch(line, formula.end(), group[0].start()):
            break
        group.insert(0, formula)
    return ", ".join((m[1] or m[2]).strip() for m in group) or None


def _plain_formula(line: str) -> str | None:
    """A formula without delimiters at the end of a line: after "is", or a pair."""
    line = line.rstrip(" .*")
    if pair := _PAIR.search(line):
        return pair[0]
    verbs = list(_IS.finditer(line))
    rest = line[verbs[-1].end() :].strip() if verbs else ""
    words = {w.lower() for w in _WORD.findall(_CALL.sub("(", rest))} - _FUNCTIONS
    return rest if rest and not words and _OPERATOR.search(rest) else None


def last_number(text: str) -> str | None:
    """The last number of a text as written, including thousands commas; None if there is none."""
    numbers = [match[0] for match in _NUMBER.finditer(text)]
    return numbers[-1] if numbers else None
