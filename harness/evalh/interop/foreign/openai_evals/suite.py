"""From an export of OpenAI Evals to a transfer: results of runs, a dump of the API, items, or its promptfoo config."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from evalh.core.digest import canonical
from evalh.core.errors import UsageError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.bodies import body_of, filled, is_slot, role_of, text_of, without_keys
from evalh.interop.foreign.openai_evals.criteria import Criteria
from evalh.interop.foreign.openai_evals.slots import SLOT, expected_of
from evalh.interop.foreign.rows import name_of
from evalh.interop.foreign.starter import add_starter
from evalh.interop.foreign.tables import document, kind_of, records
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

_FINISH = {"stop", "length", "tool_calls", "content_filter"}
_CONFIG = {"temperature": "temperature", "top_p": "top_p", "seed": "seed"}
_CONFIG |= {"max_completion_tokens": "max_tokens", "max_completions_tokens": "max_tokens"}
_USAGE = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "cached_tokens": "cached_tokens"}


def read_suite(request: ImportRequest) -> Transfer:
    """Read any of the files that OpenAI Evals left. Raises EvalhError."""
    if request.source.suffix in (".yaml", ".yml") or (request.source / "promptfooconfig.yaml").is_file():
        from evalh.interop.foreign.promptfoo.suite import read_suite as read_promptfoo

        return read_promptfoo(request)
    transfer = Transfer(sheet=ProofSheet())
    dumps = list(_dumps(request.source))
    if dumps:
        for where, dump in dumps:
            _Dump(dump, where, request, transfer).read()
    else:
        _read_rows(request, transfer)
    return transfer


def is_dump(value: JsonValue) -> bool:
    """Whether a value is what the API says of one eval, with its runs."""
    return isinstance(value, Mapping) and isinstance(value.get("eval"), Mapping) and isinstance(value.get("runs"), list)


def _dumps(source: Path) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    for path in sorted(source.glob("*.json")) if source.is_dir() else [source]:
        if kind_of(path) != ".json":
            continue
        value = document(path)
        listed = value if isinstance(value, list) else [value]
        if isinstance(value, Mapping) and not is_dump(value):
            listed = list(value.values())
        yield from ((path.name, one) for one in listed if is_dump(one))


# -- rows


def _read_rows(request: ImportRequest, transfer: Transfer) -> None:
    """Read results of runs (each row an item, its sample and its grades), or items alone."""
    name, sheet = name_of(request), transfer.sheet
    book = _Book(sheet)
    grades: defaultdict[tuple[str, str], list[tuple[float, bool | None]]] = defaultdict(list)
    first_where = ""
    for record in records(request.source, sheet):
        row = record.value
        first_where = first_where or record.where
        item = row.get("item")
        if not isinstance(item, Mapping):
            raise UsageError("is not an export of OpenAI Evals: a row has no item", where=record.where)
        run, number = str(row.get("run_id") or ""), row.get("data_source_idx")
        case = book.case(item, number if isinstance(number, int) else None, record.where)
        if run and isinstance(sample := row.get("sample"), Mapping):
            book.record(run, case, sample, "outputs")
        passes = row.get("passes")
        for grader, score in row.get("grades", {}).items() if isinstance(row.get("grades"), Mapping) else ():
            if isinstance(score, int | float):
                passed = passes.get(grader) if isinstance(passes, Mapping) else None
                grades[run, grader].append((float(score), passed if isinstance(passed, bool) else None))
    transfer.datasets.append(NewDataset(name, book.rows))
    if request.data_only:
        return
    add_starter(transfer, name, book.rows, first_where, outputs=())
    transfer.prompts[name] = [NewVersion(_item_body(book.rows[0]))]
    book.keep(transfer, request)
    transfer.suites[name] |= {"model": model} if (model := book.first_model) else {}
    for (run, grader), given in grades.items():
        known = [passed for _, passed in given if passed is not None]
        rate = f", {sum(known)} of {len(known)} passed" if known else ""
        told = f"mean {sum(score for score, _ in given) / len(given):.4g} over {len(given)}{rate}"
        why = f"{told}: a machine's grades, so they are not labels"
        sheet.add(Fidelity.NOTE, first_where, f"grades of {run}: {grader}", why, subject=Subject.GRADER)


def _item_body(row: Row) -> str:
    keys = [key for key in row["inputs"]["item"] if is_slot(f"item.{key}")]
    return "\n".join(f"{key}: {{{{item.{key}}}}}" for key in keys) if len(keys) != 1 else f"{{{{item.{keys[0]}}}}}"


class _Book:
    """The distinct items as rows, and what each run answered."""

    def __init__(self, sheet: ProofSheet) -> None:
        self.rows: list[Row] = []
        self.first_model: str | None = None
        self._known: dict[tuple[int | None, bytes], Row] = {}
        self._items: set[bytes] = set()
        self._answers: defaultdict[str, dict[tuple[str, int], dict[str, JsonValue]]] = defaultdict(dict)
        self._ids, self._sheet = CaseIds(sheet), sheet

    def case(self, item: Mapping[str, JsonValue], number: int | None, where: str) -> Row:
        """Return the row of an item, a new one if it was not seen."""
        key = number, canonical(item)
        self._items.add(key[1])
        if key not in self._known:
            row: Row = {"inputs": {"item": dict(item)}}
            own = None if number is None else f"item-{number}"
            self._known[key] = {"id": self._ids.of(row, where, own=own), **row}
            self.rows.append(self._known[key])
        return self._known[key]

    def holds(self, item: Mapping[str, JsonValue]) -> bool:
        """Whether a row of this item is there."""
        return canonical(item) in self._items

    def record(self, run: str, case: Row, sample: Mapping[str, JsonValue], key: str) -> None:
        """Keep what a run answered."""
        listed = sample.get(key)
        messages = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        texts = [text for one in messages if (text := text_of(one.get("content"))) is not None]
        if not texts or sample.get("error"):
            return
        usage = sample.get("token_usage") or sample.get("usage")
        counted = {
            ours: usage[theirs]
            for theirs, ours in _USAGE.items()
            if isinstance(usage, Mapping) and isinstance(usage.get(theirs), int)
        }
        finish = sample.get("finish_reason")
        trial = 0
        while (case["id"], trial) in self._answers[run]:
            trial += 1
        answer: dict[str, JsonValue] = {"id": case["id"], "output": texts[-1], "trial": trial}
        answer["finish"] = finish if finish in _FINISH else "stop" if finish is None else "other"
        if isinstance(model := sample.get("model"), str) and model:
            answer["model"] = model
        self._answers[run][case["id"], trial] = {**answer, **({"usage": counted} if counted else {})}

    def keep(self, transfer: Transfer, request: ImportRequest) -> None:
        """Add a recording of each run, and the model that answers from it."""
        for run, answers in self._answers.items():
            name = free_name(f"recorded-{slug(run) or 'run'}", {*transfer.models, *request.taken})
            path = f"recorded/{name.removeprefix('recorded-')}.jsonl"
            transfer.recordings[path] = list(answers.values())
            transfer.models[name] = {"provider": "replay", "path": path}
            self.first_model = self.first_model or name
            why = f"{len(answers):,} answers of {run} are kept: today's graders judge them, and no model is asked"
            self._sheet.add(
                Fidelity.NOTE, path, f"run {run}", why, subject=Subject.MODEL, do=f"evalh run --model {quote(name)}"
            )


# -- a dump


class _Dump:
    """One eval of a dump on its way into a transfer."""

    def __init__(self, dump: Mapping[str, JsonValue], where: str, request: ImportRequest, transfer: Transfer) -> None:
        self._eval: Mapping[str, JsonValue] = dump["eval"]
        self._dump, self._request, self._transfer = dump, request, transfer
        self._sheet = transfer.sheet
        said = str(self._eval.get("name") or self._eval.get("id") or "")
        self._where = f"{where}:{slug(said)}" if said else where
        self._name = free_name(slug(request.name or "") or slug(said) or name_of(request), transfer.suites)
        self._criteria = Criteria(transfer, request)

    def read(self) -> None:
        name, transfer = self._name, self._transfer
        graders: list[JsonValue] = []
        for criterion in self._eval.get("testing_criteria") or ():
            grader = self._criteria.read(criterion, self._where)
            if grader is not None and (grader != "case" or grader not in graders):
                graders.append(grader)
        book = _Book(self._sheet)
        runs = [one for one in self._dump["runs"] if isinstance(one, Mapping)]
        versions: dict[str, NewVersion] = {}
        model: str | None = None
        for run in runs:
            about = run.get("run") if isinstance(run.get("run"), Mapping) else run
            assert isinstance(about, Mapping)
            source = about.get("data_source") if isinstance(about.get("data_source"), Mapping) else {}
            assert isinstance(source, Mapping)
            if (version := self._version(source)) is not None:
                versions.setdefault(canonical([version.body, dict(version.front)]).decode(), version)
            model = model or self._criteria.model(source.get("model"))
            self._items(run.get("output_items"), str(about.get("name") or about.get("id") or "run"), book)
        for row in self._dump.get("rows") or ():
            item = row.get("item", row) if isinstance(row, Mapping) else None
            if isinstance(item, Mapping) and not book.holds(item):
                book.case(item, None, self._where)
        if not book.rows:
            raise UsageError("holds no rows and no output items", where=self._where)
        self._complete(book.rows)
        transfer.datasets.append(NewDataset(name, book.rows))
        if not versions:
            why = "no run holds messages: this prompt is a start"
            self._sheet.add(Fidelity.NOTE, self._where, f"prompts/{name}/v1.prompt", why, subject=Subject.PROMPT)
        transfer.prompts[name] = list(versions.values()) or [NewVersion(_item_body(book.rows[0]))]
        book.keep(transfer, self._request)
        if not graders:
            why = "no criterion is imported: any answer that is not empty is good"
            self._sheet.add(Fidelity.NOTE, self._where, "testing_criteria", why, subject=Subject.GRADER)
        chosen = model or book.first_model
        suite: dict[str, JsonValue] = {"prompt": name, "dataset": name, **({"model": chosen} if chosen else {})}
        transfer.suites[name] = {**suite, "graders": graders or [{"length": {"min_chars": 1}}]}

    def _complete(self, rows: list[Row]) -> None:
        """Add what graders compare with, and graders of their own, to the rows."""
        for row in rows:
            item = row["inputs"]["item"]
            if self._criteria.expected:
                row["expected"] = expected_of(item, self._criteria.expected)
            if self._criteria.of_rows:
                row["graders"] = [build(item) for build in self._criteria.of_rows]

    def _items(self, listed: JsonValue, run: str, book: _Book) -> None:
        for output in listed if isinstance(listed, list) else ():
            item = output.get("datasource_item") if isinstance(output, Mapping) else None
            if not isinstance(item, Mapping):
                continue
            inner = item.get("item")
            number = output.get("datasource_item_id")
            known = inner if isinstance(inner, Mapping) else item
            case = book.case(known, number if isinstance(number, int) else None, self._where)
            if isinstance(sample := output.get("sample"), Mapping):
                book.record(run, case, sample, "output")

    def _version(self, source: Mapping[str, JsonValue]) -> NewVersion | None:
        stated = source.get("input_messages")
        template = stated.get("template") if isinstance(stated, Mapping) else None
        if not isinstance(template, list):
            return None
        messages: list[tuple[str, str]] = []
        for message in template:
            role = role_of(message.get("role")) if isinstance(message, Mapping) else None
            text = text_of(message.get("content")) if isinstance(message, Mapping) else None
            if role is None or text is None:
                why = "it is not a text of system, developer, user or assistant"
                self._sheet.add(Fidelity.NOT, self._where, "a message", why, subject=Subject.PROMPT)
                continue
            text = without_keys(text, self._where, self._sheet)
            messages.append((role, filled(text, SLOT, self._slot)))
        return NewVersion(body_of(messages), self._front(source.get("sampling_params")))

    def _slot(self, name: str) -> str | None:
        if name.startswith("item.") and is_slot(name):
            return f"{{{{{name}}}}}"
        why = "is not a value of the item that a prompt can name"
        self._sheet.add(Fidelity.NOT, self._where, f"{{{{{name}}}}}", why, subject=Subject.PROMPT)
        return None

    def _front(self, stated: JsonValue) -> dict[str, JsonValue]:
        sampling = stated if isinstance(stated, Mapping) else {}
        config = {ours: sampling[key] for key, ours in _CONFIG.items() if isinstance(sampling.get(key), int | float)}
        front: dict[str, JsonValue] = {"config": config} if config else {}
        text = sampling.get("text")
        form = sampling.get("response_format") or (text.get("format") if isinstance(text, Mapping) else None)
        if isinstance(form, Mapping) and form.get("type") in ("json_schema", "json_object"):
            held = form.get("json_schema") if isinstance(form.get("json_schema"), Mapping) else form
            schema = held.get("schema") if isinstance(held, Mapping) else None
            front["output"] = {"format": "json", **({"schema": schema} if isinstance(schema, Mapping) else {})}
        return front
