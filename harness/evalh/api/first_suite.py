"""The first prompt and suite for a person's own rows: the expected values decide how answers are graded."""

import json
from collections.abc import Mapping, Sequence
from statistics import median

from msgspec.structs import replace

from evalh.api.columns import ColumnRole, OwnRows
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

_MOST_LABELS = 30
_MOST_FIELDS = 20
_SHORT = 8  # words: up to here an answer is compared as it is, above by similarity
_LISTED = 60  # characters of a label that stands in the prompt's text
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


class FirstSuite(Value, kw_only=True):
    """What is written for a person's rows. `schema`: lines of the output schema, none for plain text."""

    rows: OwnRows
    asks: str
    schema: tuple[str, ...]
    graders: tuple[str, ...]
    max_tokens: int

    def prompt(self) -> str:
        """Return the prompt's first version."""
        inputs = ", ".join(f"{name}: string" for name in self.rows.inputs)
        output = "output:\n  format: json\n  schema:\n" + "".join(f"    {line}\n" for line in self.schema)
        front = (
            f"---\ndescription: A first version, written by evalh init\n"
            f"config: {{temperature: 0, max_tokens: {self.max_tokens}}}\n"
            f"input: {{schema: {{{inputs}}}}}\n{output if self.schema else ''}---\n"
        )
        shown = "".join(f"{name}: {{{{{name}}}}}\n" for name in self.rows.inputs)
        if len(self.rows.inputs) == 1:
            shown = f"{{{{{self.rows.inputs[0]}}}}}\n"
        return f'{front}{{{{role "system"}}}}\n{self.asks}\n{{{{role "user"}}}}\n{shown}'

    def suite(self, model: str) -> str:
        """Return the suite's file."""
        listed = "".join(f"  - {line}\n" for line in self.graders)
        return f"prompt: {self.rows.name}\ndataset: {self.rows.name}\nmodel: {model}\ngraders:\n{listed}"


def first_suite(rows: OwnRows) -> FirstSuite:
    """Choose how these rows are asked about and graded."""
    gold = [case.expected for case in rows.cases if case.expected is not None]
    named = {name for one in gold if isinstance(one, Mapping) for name in one}
    key = next(iter(named)) if len(named) == 1 else None
    plain = [one.get(key) if isinstance(one, Mapping) else one for one in gold]
    if gold and all(isinstance(one, str | bool | int) for one in plain):
        labels = list(dict.fromkeys(_word(one) for one in plain))
        if len(labels) <= _MOST_LABELS and 1 < len(labels) <= len(gold) / 2:
            if key is None:
                return _labels(rows, labels, next(c.key for c in rows.columns if c.role is ColumnRole.EXPECTED))
            if _is_name(key):
                return _labels(rows, labels, key)
    if gold and all(isinstance(one, Mapping) and one for one in gold):
        return _fields(rows, gold)
    return _texts(rows, gold)


def _is_name(name: str) -> bool:
    """Whether a key can stand in a schema and a path as it is."""
    return name.isidentifier() and name.isascii()


def _labels(rows: OwnRows, labels: Sequence[str], key: str) -> FirstSuite:
    cases = tuple(
        case
        if case.expected is None or isinstance(case.expected, Mapping)
        else replace(case, expected={key: _word(case.expected)})
        for case in rows.cases
    )
    listed = all("{{" not in one and one.isprintable() and len(one) <= _LISTED for one in labels)
    which = f"Which {key.replace('_', ' ')} fits" + (f": {', '.join(labels)}?" if listed else "?")
    return FirstSuite(
        rows=replace(rows, cases=cases),
        asks=f"{which} Answer with JSON.",
        schema=(f"{key}(enum): {json.dumps(list(labels))}",),
        graders=(
            "schema # the output fits the version's own output schema",
            f"equals: {{path: {key}, expected: {key}}} # path in the output's JSON; path in the case's `expected`",
        ),
        max_tokens=max(32, max(map(len, labels)) + 24),
    )


def _fields(rows: OwnRows, gold: Sequence[Mapping[str, JsonValue]]) -> FirstSuite:
    names = list(dict.fromkeys(name for one in gold for name in one))[:_MOST_FIELDS]
    plain = [name for name in names if _is_name(name)]
    lines = [_typed(name, [one[name] for one in gold if name in one]) for name in plain]
    graders = [f"equals: {{path: {name}, expected: {name}}}" for name in plain]
    return FirstSuite(
        rows=rows,
        asks=f"Read these fields out of the text: {', '.join(plain)}. Answer with JSON.",
        schema=tuple(lines),
        graders=("schema # the output fits the version's own output schema", *(graders or ["equals"])),
        max_tokens=256,
    )


def _typed(name: str, values: Sequence[JsonValue]) -> str:
    """Return a field's line in the schema: a category where few texts come again and again."""
    texts = [value for value in values if isinstance(value, str)]
    different = list(dict.fromkeys(texts))
    if len(texts) == len(values) and 1 < len(different) <= min(_MOST_LABELS, len(texts) / 4):
        return f"{name}(enum): {json.dumps(different)}"
    types = {_TYPES.get(type(value), "any") for value in values}
    return f"{name}: {types.pop() if len(types) == 1 else 'any'}"


def _texts(rows: OwnRows, gold: Sequence[JsonValue]) -> FirstSuite:
    texts = [_word(one) for one in gold]
    if not texts:
        graders = ["length: {min_chars: 1, max_words: 200} # no gold in these rows: name more, or a judge"]
    elif median(len(one.split()) for one in texts) <= _SHORT:
        graders = ["equals: {ignore_case: true, trim: true}"]
    else:
        graders = ["similarity: {measure: token_f1, pass_mark: 0.5} # words in common with what the case expects"]
    cases = tuple(
        case if case.expected is None else replace(case, expected=_word(case.expected)) for case in rows.cases
    )
    return FirstSuite(
        rows=replace(rows, cases=cases),
        asks="Answer in a few words." if texts and graders[0].startswith("equals") else "Answer the request.",
        schema=(),
        graders=tuple(graders),
        max_tokens=256,
    )


def _word(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
