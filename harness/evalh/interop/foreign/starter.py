"""What a file of rows lacks to be run: a first prompt with its inputs, and a suite. Both are there to be changed."""

from collections.abc import Mapping

from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.bodies import is_slot
from evalh.interop.foreign.transfer import Fidelity, NewVersion, ProofSheet, Row, Subject, Transfer

_HISTORY = "messages"


def add_starter(transfer: Transfer, name: str, first: Row, where: str) -> None:
    """Add a prompt and a suite for a dataset, by its first row."""
    inputs = first["inputs"]
    slots = [key for key in inputs if is_slot(key)]
    lines = [f"{{{{{slots[0]}}}}}"] if len(slots) == 1 else [f"{key}: {{{{{key}}}}}" for key in slots]
    if _HISTORY in inputs:
        lines += ["{{history}}"]
    transfer.prompts[name] = [NewVersion("\n".join(lines) or "Answer.")]
    grader, why = _grader(first)
    transfer.suites[name] = {"prompt": name, "dataset": name, "graders": [grader]}
    _tell(transfer.sheet, where, name, why)


def _tell(sheet: ProofSheet, where: str, name: str, why: str) -> None:
    what = "the rows alone are imported: this prompt is a start, and no model is stated"
    do = f"write what is asked into prompts/{name}/, then: evalh run {name} --model …"
    sheet.add(Fidelity.NOTE, where, f"prompts/{name}/v1.prompt", what, subject=Subject.PROMPT, do=do)
    sheet.add(Fidelity.NOTE, where, f"evals/{name}.yaml", why, subject=Subject.GRADER, do="docs/reference/graders.md")


def _grader(row: Mapping[str, JsonValue]) -> tuple[JsonValue, str]:
    """Return a grader that fits what the first row expects, and what it asks for."""
    expected = row.get("expected")
    match expected:
        case None:
            return {"length": {"min_chars": 1}}, "no row says what is expected: any answer that is not empty is good"
        case bool() | int() | float():
            return "number", "an answer is good if its number is the expected one"
        case list():
            return {"one_of": {"trim": True, "ignore_case": True}}, "an answer is good if it equals an expected one"
        case Mapping():
            return "json_subset", "an answer is good if it is JSON that holds what is expected"
        case _:
            equal = {"equals": {"trim": True, "ignore_case": True}}
            return equal, "an answer is good if it equals what is expected, but for blanks and capitals"
