"""Each imported assertion that is called the same gives the verdicts that promptfoo itself gave, on 200 outputs."""

import asyncio
import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext
from evalh.graders.registry import build_all, complete
from evalh.interop.foreign.promptfoo.suite import read_suite
from evalh.interop.foreign.transfer import ImportRequest, Subject
from evalh.workspace.yaml import parse_yaml
from grading import environment

RECORDED = Path(__file__).parents[1] / "recorded/promptfoo"
OUTPUTS: list[str] = json.loads((RECORDED / "outputs.json").read_text(encoding="utf-8"))
VERDICTS: list[str] = json.loads((RECORDED / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
ASSERTIONS: Any = parse_yaml((RECORDED / "assertions.yaml").read_text(encoding="utf-8"), "assertions.yaml").value
NEAR = 0.8  # of the outputs, for those that are called near
MANY = [pytest.param(number, id=f"{number}-{one['type']}") for number, one in enumerate(ASSERTIONS)]


@cache
def imported(number: int, folder: Path) -> tuple[str, list[Any]]:
    """Import a config with this assertion alone; return what was said of it, and its graders."""
    test = {"vars": {"x": "y"}, "assert": [ASSERTIONS[number]]}
    path = folder / "promptfooconfig.json"
    path.write_text(json.dumps({"prompts": ["{{x}}"], "providers": ["echo"], "tests": [test]}))
    transfer = read_suite(ImportRequest(source=path, into=folder, name=None, allow_code=False, taken=frozenset()))
    said = [item.status.value for item in transfer.sheet.items() if item.subject is Subject.GRADER]
    worst = next(status for status in ("not", "near", "same") if status in said)
    (row,) = transfer.datasets[0].rows
    return worst, row.get("graders", [])


def verdicts(graders: list[Any], loop: asyncio.AbstractEventLoop) -> str:
    """Judge every output by a row's graders, as a run does: 1 for a pass, 0 for a fail, else the outcome."""
    case = Case(id="c", inputs={"x": "y"}, where="d.jsonl:1", graders=tuple(graders))
    suite = build_all([GraderSpec(kind="case", name="case", where="s.yaml:1")], environment())
    (grader,) = complete(suite, [case])
    return "".join(_verdict(grader, case, text, loop) for text in OUTPUTS)


def _verdict(grader: Any, case: Case, text: str, loop: asyncio.AbstractEventLoop) -> str:
    said = grader.compiled.judge(GradeContext(case=case, completion=Completion(text=text)))
    verdict = loop.run_until_complete(said) if inspect.isawaitable(said) else said
    return {"pass": "1", "fail": "0"}.get(verdict.outcome.value, verdict.outcome.value)


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("number", MANY)
def test_what_is_called_the_same_agrees_on_every_output(number: int, tmp_path: Path, loop) -> None:
    status, graders = imported(number, tmp_path)
    assert graders, ASSERTIONS[number]

    ours = verdicts(graders, loop)

    differ = [
        (text, theirs, mine)
        for text, theirs, mine in zip(OUTPUTS, VERDICTS[number], ours, strict=True)
        if theirs != mine
    ]
    allowed = 0 if status == "same" else len(OUTPUTS) * (1 - NEAR)
    assert len(differ) <= allowed, (status, graders, differ[:5])


def test_the_recording_has_both_verdicts_of_nearly_every_assertion() -> None:
    constant = [ASSERTIONS[number]["type"] for number, row in enumerate(VERDICTS) if len(set(row)) == 1]

    assert len(OUTPUTS) == 200
    assert len(VERDICTS) == len(ASSERTIONS)
    assert len(constant) <= 8, constant
