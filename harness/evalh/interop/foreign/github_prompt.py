"""`.prompt.yml` files of GitHub Models: a prompt, its rows and its evaluators.

There, `{{key}}` is replaced as it stands: without blanks, and what no row has stays.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from evalh.core.errors import UsageError
from evalh.core.located import Located
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.interop.foreign.bodies import body_of, filled, is_slot, role_of, tell_left_out, tell_own_prompt, without_keys
from evalh.interop.foreign.rows import with_id
from evalh.interop.foreign.transfer import (
    CaseIds,
    Fidelity,
    ImportRequest,
    NewDataset,
    NewVersion,
    ProofSheet,
    Row,
    Subject,
    Transfer,
    free_name,
    slug,
)
from evalh.workspace.files import decode, refuse_other_encodings
from evalh.workspace.yaml import parse_yaml

ENDINGS = (".prompt.yml", ".prompt.yaml")
_SLOT = re.compile(r"\{\{([^{}\s][^{}]*?)\}\}")
_LARGEST = 16 * 2**20
_CONFIG = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p"}
_RUBRICS = {
    "similarity": "The answer says the same as the expected answer.",
    "coherence": "The answer is coherent: its sentences follow from one another and belong together.",
    "fluency": "The answer is fluent: its grammar, words and sentences are right and natural.",
    "relevance": "The answer is relevant: it answers what was asked, and nothing else.",
    "groundedness": "The answer is grounded: everything in it follows from what the input says.",
}
_JUDGE = "openai/gpt-4o"


def read_suite(request: ImportRequest) -> Transfer:
    """Read a file, or every such file below a folder. Raises EvalhError."""
    transfer = Transfer(sheet=ProofSheet())
    for path in _files(request.source):
        _Prompt(path, request, transfer).read()
    return transfer


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = sorted(path for ending in ENDINGS for path in source.rglob(f"*{ending}") if path.is_file())
    if not found:
        raise UsageError("holds no .prompt.yml file", where=str(source))
    return found


class _Prompt:
    """One file on its way into a transfer."""

    def __init__(self, path: Path, request: ImportRequest, transfer: Transfer) -> None:
        self._transfer, self._sheet, self._request = transfer, transfer.sheet, request
        self._file = _document(path, transfer.sheet)
        if not isinstance(self._file.value, dict) or not isinstance(self._file.value.get("messages"), list):
            raise UsageError("is not a .prompt.yml file: it has no messages", where=path.name)
        self._value: Mapping[str, JsonValue] = self._file.value
        ending = next((one for one in ENDINGS if path.name.endswith(one)), path.suffix)
        stated = slug(request.name or "") if not request.source.is_dir() else ""
        wanted = stated or slug(path.name.removesuffix(ending)) or "prompt"
        self._name = free_name(wanted, transfer.prompts)

    def read(self) -> None:
        rows = [row for row in self._listed("testData") if isinstance(row, dict)]
        columns = {key for row in rows for key in row}
        transfer, name = self._transfer, self._name
        transfer.prompts[name] = [NewVersion(self._body(columns), self._front())]
        model = self._model(self._value.get("model"), self._file.where("model"))
        if not rows:
            what, do = "the file has no testData", "evalh import rows FILE, or write rows"
            self._sheet.add(Fidelity.NOTE, self._file.where(), "testData", what, subject=Subject.CASE, do=do)
            rows = [dict.fromkeys(sorted(self._slots), "")]
        graders: list[JsonValue] = []
        for number in range(len(self._listed("evaluators"))):
            grader = self._grader(number)
            if grader is not None and (grader != "case" or grader not in graders):
                graders.append(grader)
        transfer.datasets.append(NewDataset(name, list(self._rows(rows))))
        if not graders:
            why = "no evaluator is imported: any answer that is not empty is good"
            self._sheet.add(Fidelity.NOTE, self._file.where(), "evaluators", why, subject=Subject.GRADER)
        suite: dict[str, JsonValue] = {"prompt": name, "dataset": name}
        if isinstance(description := self._value.get("description"), str) and description.strip():
            suite["description"] = " ".join(description.split())
        if model is not None:
            suite["model"] = model
        transfer.suites[name] = {**suite, "graders": graders or [{"length": {"min_chars": 1}}]}

    def _listed(self, key: str) -> list[JsonValue]:
        value = self._value.get(key)
        return value if isinstance(value, list) else []

    # -- the prompt

    def _body(self, columns: set[str]) -> str:
        self._slots: set[str] = set()
        messages: list[tuple[str, str]] = []
        for number, message in enumerate(self._listed("messages")):
            where = self._file.where("messages", number)
            role = role_of(message.get("role")) if isinstance(message, Mapping) else None
            content = message.get("content") if isinstance(message, Mapping) else None
            if role is None or not isinstance(content, str):
                why = "it is not a text of system, user or assistant"
                self._sheet.add(Fidelity.NOT, where, "a message", why, subject=Subject.PROMPT)
                continue
            messages.append((role, filled(content, _SLOT, partial(self._slot, columns, where))))
        return body_of(messages)

    def _slot(self, columns: set[str], where: str, name: str) -> str | None:
        if is_slot(name) and "." not in name:
            self._slots.add(name)
            if columns and name not in columns:
                why = "no row has it: GitHub Models sends it as it is written, here a row must have it"
                self._sheet.add(Fidelity.NEAR, where, f"{{{{{name}}}}}", why, subject=Subject.PROMPT)
            return f"{{{{{name}}}}}"
        if name in columns:
            why = "this name cannot be a slot"
            do = "rename the key in messages and testData"
            self._sheet.add(Fidelity.NOT, where, f"{{{{{name}}}}}", why, subject=Subject.PROMPT, do=do)
        return None

    def _front(self) -> dict[str, JsonValue]:
        stated = self._value.get("modelParameters")
        config: dict[str, JsonValue] = {}
        for key, value in stated.items() if isinstance(stated, Mapping) else ():
            if key in _CONFIG and isinstance(value, int | float):
                config[_CONFIG[key]] = value
            else:
                where = self._file.where("modelParameters", key)
                why = "GitHub Models did not know it either"
                self._sheet.add(Fidelity.NOTE, where, f"modelParameters.{key}", why, subject=Subject.PROMPT)
        front: dict[str, JsonValue] = {"config": config} if config else {}
        form = self._value.get("responseFormat")
        if form in ("json_object", "json_schema"):
            front["output"] = {"format": "json", **self._schema()}
        return front

    def _schema(self) -> dict[str, JsonValue]:
        """Return the output's schema, which the file holds as JSON text."""
        stated = self._value.get("jsonSchema")
        where = self._file.where("jsonSchema")
        try:
            value = parse(stated) if isinstance(stated, str) else stated
        except NotStrictJson as exc:
            self._sheet.add(Fidelity.NOT, where, "jsonSchema", f"is not JSON: {exc}", subject=Subject.PROMPT)
            return {}
        inner = value.get("schema", value) if isinstance(value, Mapping) else None
        return {"schema": dict(inner)} if isinstance(inner, Mapping) else {}

    def _model(self, stated: JsonValue, where: str) -> str | None:
        """Add a model's table, and return its name. GitHub's service is gone: the name says whose model it was."""
        if not isinstance(stated, str) or not stated.strip():
            return None
        vendor, slash, model = stated.partition("/")
        name = slug(model if slash else stated)
        if name not in self._transfer.models:
            name = free_name(name, self._request.taken)
            self._transfer.models[name] = {"provider": "openai", "model": model if slash else stated}
            why = "GitHub Models, which served it, is gone: the table asks OpenAI's API for a model of this name"
            do = "state the provider and the model's name there: docs/reference/providers.md"
            known = Fidelity.NOTE if vendor == "openai" else Fidelity.NEAR
            self._sheet.add(known, where, f"model {stated}", why, subject=Subject.MODEL, do=do)
        return name

    # -- rows and evaluators

    def _rows(self, rows: list[Row]) -> Iterator[Row]:
        ids = CaseIds(self._sheet)
        for number, record in enumerate(rows):
            where = self._file.where("testData", number)
            row: Row = {"inputs": {key: value for key, value in record.items() if key != "expected"}}
            if "expected" in record:
                row["expected"] = record["expected"]
            own = [one for entry in range(len(self._listed("evaluators"))) if (one := self._of_row(entry, record))]
            if own:
                row["graders"] = own
            yield with_id(row, None, ids, where)

    def _of_row(self, number: int, record: Row) -> JsonValue:
        """Return the grader of a row for an evaluator whose value names the row's keys; None if it has none."""
        stated = _string_check(self._listed("evaluators")[number])
        if stated is None or not _SLOT.search(stated[1]) or self._is_expected(stated):
            return None
        return _string_grader(stated[0], _SLOT.sub(lambda found: _shown(record, found), stated[1]))

    def _grader(self, number: int) -> JsonValue:
        """Return the suite's grader of an evaluator; None if there is none. `case`: each row has its own."""
        evaluator, where = self._listed("evaluators")[number], self._file.where("evaluators", number)
        what = f"evaluator {evaluator.get('name', number + 1)}" if isinstance(evaluator, Mapping) else "evaluator"
        if (stated := _string_check(evaluator)) is not None:
            self._sheet.add(Fidelity.SAME, where, what, subject=Subject.GRADER)
            if self._is_expected(stated):
                return _expected_grader(stated[0])
            if _SLOT.search(stated[1]):
                return "case"
            return _string_grader(*stated)
        if isinstance(evaluator, Mapping) and isinstance(uses := evaluator.get("uses"), str):
            return self._built_in(uses, where, what)
        if isinstance(evaluator, Mapping) and isinstance(llm := evaluator.get("llm"), Mapping):
            return self._judge(llm, where, what)
        tell_left_out(self._sheet, where, what, "is not an evaluator that evalh knows")
        return None

    def _is_expected(self, stated: tuple[str, str]) -> bool:
        """Whether the output is compared with what each row expects, which is text."""
        rows = [row for row in self._listed("testData") if isinstance(row, dict)]
        return (
            stated in (("equals", "{{expected}}"), ("contains", "{{expected}}"))
            and bool(rows)
            and all(isinstance(row.get("expected"), str) for row in rows)
        )

    def _built_in(self, uses: str, where: str, what: str) -> JsonValue:
        kind = uses.removeprefix("github/")
        if kind not in _RUBRICS:
            tell_left_out(self._sheet, where, what, f"evalh does not know {uses}", "a judge with a rubric of your own")
            return None
        rest = "in the source it gives 1 to 5 points, and more than 1 passes"
        tell_own_prompt(self._sheet, where, what, rest)
        judge: dict[str, JsonValue] = {"rubric": _RUBRICS[kind], "model": self._model(_JUDGE, where), "scale": "1-5"}
        return {
            "judge": {**judge, "pass_mark": 2, "name": kind, **({"reference": True} if kind == "similarity" else {})}
        }

    def _judge(self, llm: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        prompt, choices = llm.get("prompt"), llm.get("choices")
        scored = [one for one in choices if isinstance(one, Mapping)] if isinstance(choices, list) else []
        passing = [
            str(one.get("choice")) for one in scored if isinstance(score := one.get("score"), int | float) and score > 0
        ]
        model = self._model(llm.get("modelId"), where)
        if not isinstance(prompt, str) or not passing or model is None:
            tell_left_out(self._sheet, where, what, "has no prompt, no model or no choice with a score above 0")
            return None
        rubric = _SLOT.sub(
            lambda found: "(the answer)" if found[1] == "completion" else f"(the input {found[1]})", prompt
        )
        system = llm.get("systemPrompt")
        asked = f"{system}\n\n{rubric}" if isinstance(system, str) else rubric
        among = ", ".join(str(one.get("choice")) for one in scored)
        text = f"{asked.strip()}\n\nOf the choices {among}, it passes with: {', '.join(passing)}."
        why = f"the judge's own prompt differs; in the source, every score above 0 passes: {', '.join(passing)}"
        self._sheet.add(Fidelity.NEAR, where, what, why, subject=Subject.GRADER, do="look at which choices pass")
        return {"judge": {"rubric": text, "model": model, "scale": "pass/fail", "name": slug(what) or "judge"}}


def _document(path: Path, sheet: ProofSheet) -> Located:
    try:
        data = path.read_bytes()[: _LARGEST + 1]
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", where=str(path)) from None
    if len(data) > _LARGEST:
        raise UsageError("is larger than 16 MB", where=str(path))
    refuse_other_encodings(data[:4], path.name)
    text = without_keys(decode(data.removeprefix(b"\xef\xbb\xbf"), path.name), path.name, sheet)
    return parse_yaml(text, path.name, foreign=True)


def _string_check(evaluator: JsonValue) -> tuple[str, str] | None:
    """Return which comparison counts, and with what: of several the first of these."""
    string = evaluator.get("string") if isinstance(evaluator, Mapping) else None
    for kind in ("equals", "contains", "startsWith", "endsWith"):
        if isinstance(string, Mapping) and isinstance(value := string.get(kind), str):
            return kind, value
    return None


def _expected_grader(kind: str) -> JsonValue:
    if kind == "equals":
        return {"equals": {"normalize": "none"}}
    return {"contains": {"expected": "$", "ignore_case": True}}


def _string_grader(kind: str, value: str) -> JsonValue:
    match kind:
        case "equals":
            return {"equals": {"value": value, "normalize": "none"}}
        case "contains":
            return {"contains": {"value": value, "ignore_case": True}}
        case "startsWith":
            return {"regex": f"(?is)^{re.escape(value)}"}
        case _:
            return {"regex": f"(?is){re.escape(value)}\\z"}


def _shown(record: Row, found: re.Match[str]) -> str:
    value = record.get(found[1], found[0])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
