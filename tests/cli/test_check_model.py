"""`start-sdk check-model`: what is printed about a model, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from families import USABLE, raw, save
from typer.testing import CliRunner, Result

from start_sdk.cli import app


def check_model(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["check-model", *map(str, args)])


def found(folder: Path) -> tuple[int, dict[str, Any]]:
    done = check_model(folder, "--json")
    return done.exit_code, json.loads(done.stdout)


def with_template(folder: Path, template: str) -> Path:
    save("qwen3", folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def test_a_thinking_model_is_described(tmp_path: Path) -> None:
    folder = save("qwen3.5", tmp_path / "model", context=4096)
    done = check_model(folder)
    assert done.exit_code == 0, done.output
    assert (
        done.stdout
        == f"""\
{folder}
  format                        think
  its thought begins            in the prompt
  its thought ends with         </think>, one token
  line breaks after the prompt  merge with it
  thoughts of earlier turns     cut
  a system message              taken
  the question                  whole
  control text                  inert
  a generation ends with        <|endoftext|> (420), <|im_end|> (422)
  context                       4096 tokens
  it runs blocks of             python, python3, py
an example, by whom each part is written
  [prompt] <|im_start|>user
           What is 12 * 7?<|im_end|>
           <|im_start|>assistant
           <think>
  [model]  12 * 7 is 85.
  [hint]
           Wait, maybe using python here is a good idea.
           ```python
  [model]
           print(12 * 7)
           ```
  [tool]   ```output
           84
           ```
  [model]  So it is 84.
  [model]  </think>
  [model]

           The answer is \\boxed{{84}}.
  [model]  <|endoftext|>
"""
    )


@pytest.mark.parametrize("name", USABLE)
def test_families_that_work_exit_with_0(name: str, tmp_path: Path) -> None:
    code, findings = found(save(name, tmp_path))
    assert code == (1 if name == "gemma" else 0)
    assert [p.partition(":")[0] for p in findings["problems"]] == ["a system message"] * code
    sources = [part["source"] for part in findings["example"]]
    assert sources[:6] == ["prompt", "model", "hint", "model", "tool", "model"]
    assert "".join(part["text"] for part in findings["example"]).count("84") >= 3


def test_json_holds_the_findings(tmp_path: Path) -> None:
    code, findings = found(save("kimi-dev", tmp_path, context=8192))
    assert code == 0
    example = findings.pop("example")
    assert example[1] == {"source": "model", "text": "◁think▷\n12 * 7 is 85.\n"}
    assert findings == {
        "model": str(tmp_path),
        "context": 8192,
        "format": "think",
        "tags": ["◁think▷", "◁/think▷"],
        "tag_is_token": False,
        "ends": ["◁/think▷"],
        "opening": "model",
        "merges": True,
        "history": "cut",
        "system": "taken",
        "whole": True,
        "inert": True,
        "eos": [[422, "<|im_end|>"]],
        "languages": ["python", "python3", "py"],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gpt-oss", "the model writes in harmony channels (gpt-oss)"),
        ("content-parts", "the chat template drops the question"),
        ("gemma", "a system message: the chat template rejects these messages: System role not"),
    ],
)
def test_each_thing_that_will_not_work_has_a_line(name: str, line: str, tmp_path: Path) -> None:
    done = check_model(save(name, tmp_path))
    assert done.exit_code == 1
    _, _, problems = done.stdout.partition("what will not work\n")
    assert problems.startswith(f"  ✗ {line}") and problems.count("\n") == 1
    assert ("an example" in done.stdout) == (name == "gemma")


def test_a_prompt_that_closes_the_thought_has_no_example(tmp_path: Path) -> None:
    turns = "{% for m in messages %}{{ m.content }}{% endfor %}"
    done = check_model(with_template(tmp_path, turns + "{{ '<think>\n\n</think>\n\n' }}"))
    assert done.exit_code == 1
    assert "its thought begins            never: the prompt closes it\n" in done.stdout
    assert "  ✗ a thought: the prompt closes it (</think>)" in done.stdout
    assert "an example" not in done.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_template_writes_cannot_control_the_terminal(as_json: bool, tmp_path: Path) -> None:
    turns = "{% for m in messages %}{{ '\x1b[2J\u202e\x08' + m.content + '\x9b1m\n' }}{% endfor %}"
    refusing = "{% if messages | length > 1 %}{{ raise_exception('\x1b]0;x\x07') }}{% endif %}"
    folder = with_template(tmp_path, refusing + turns)
    done = check_model(folder, *["--json"] * as_json)
    assert done.exit_code == 1
    assert not [c for c in done.stdout if not (c.isprintable() or c == "\n")]
    if not as_json:
        assert "  [prompt] \\x1b[2J\\u202e\\x08What is 12 * 7?\\x9b1m\n" in done.stdout
        assert "rejects these messages: \\x1b]0;x\\x07\n" in done.stdout


def broken(folder: Path) -> Path:
    save("qwen3", folder)
    (folder / "tokenizer.json").write_text("{\x1b", encoding="utf-8")
    return folder


def test_a_model_that_cannot_be_loaded_is_one_line_and_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    wrong = broken(tmp_path / "broken")
    for name, line in {
        tmp_path / "empty": "it has no tokenizer (tokenizer.json)",
        tmp_path / "missing": "not a folder or a GGUF file",
        wrong: "tokenizer.json is not JSON",
        Path("no/such-model"): "no model 'no/such-model'",
    }.items():
        done = check_model(name)
        assert (done.exit_code, done.stdout) == (2, ""), name
        assert line in done.stderr and done.stderr.count("\n") == 1
        assert done.stderr.startswith("start-sdk: ") and "\x1b" not in done.stderr


def test_a_model_without_a_template_has_one_problem(tmp_path: Path) -> None:
    save("qwen3", tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    code, findings = found(tmp_path)
    assert (code, findings["format"], findings["example"]) == (1, "refused", [])
    (problem,) = findings["problems"]
    assert "has no chat template" in problem
    assert raw("qwen3").chat_template  # the fixture itself still has one
