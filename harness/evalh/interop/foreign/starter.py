"""The first prompt and suite of rows: what they expect, all of them, decides how an output is graded."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from evalh.core.digest import canonical
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.graders.numbers.number import NumberReader
from evalh.graders.reading import Unreadable, folded
from evalh.interop.foreign.bodies import is_slot, literal
from evalh.interop.foreign.columns import InOrder
from evalh.interop.foreign.layout import version_text
from evalh.interop.foreign.mapping import HISTORY
from evalh.interop.foreign.transfer import Fidelity, NewVersion, Row, Subject, Transfer

_MOST_LABELS = 250  # more are not taken by OpenAI's output schemas, if the labels are long
_FEW_LABELS = 20
_ROWS_PER_LABEL = (2, 5)  # on average: where labels are few, and where they are many
_MOST_CODES = 12  # different whole numbers that are taken as labels
_MOST_FIELDS = 20
_LONGEST_LABEL = 100
_LISTED = 4_000  # characters of labels in a prompt
_SHORT = 8  # words: up to here a text is compared as it is, above by the words in common
_FEW_WITH_SEVERAL = 0.02  # of the outputs: that many may name a label that they do not mean
_MORE_WORDS = 3  # that recorded outputs have on average, if they are sentences around what is expected
_MOST_TOKENS = 256
_TAGS = ("####", "Answer:")
_LONGEST_NUMBER = 40
_KINDS: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
_LOOSE: dict[str, JsonValue] = {"trim": True, "ignore_case": True}


class Golds:
    """What values say together, whatever their order. `count` of them were added."""

    def __init__(self, *, inside: bool = False) -> None:
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.fields: dict[str, Golds] = {}  # of objects that are not a field themselves
        self.order = InOrder()
        self._inside = inside
        self._values: dict[bytes, JsonValue] | None = {}  # None: too many, or too long, to be labels
        self._words: Counter[int] = Counter()
        self._numbers: dict[str | None, bool] = dict.fromkeys((None, *_TAGS), True)  # by what stands before them

    def add(self, value: JsonValue) -> None:
        """Take one value into account."""
        self.count += 1
        self.kinds[kind_of(value)] += 1
        if isinstance(value, Mapping) and not self._inside and len(self.order.counts) <= _MOST_FIELDS:
            self.order.add(value)
            for name, inner in value.items():
                self.fields.setdefault(name, Golds(inside=True)).add(inner)
        if isinstance(value, str):
            self._words[min(len(value.split()), 1000)] += 1
        for tag, always in self._numbers.items():
            self._numbers[tag] = always and _is_number(value, tag)
        if self._values is not None:
            self._values[canonical(value)] = value
            if not _may_be_label(value) or len(self._values) > _MOST_LABELS:
                self._values = None

    def labels(self) -> list[JsonValue] | None:
        """Return the labels, if these are labels: few different values, each of them several times."""
        values = list((self._values or {}).values())
        numbers = self.number() is not None
        rows = _ROWS_PER_LABEL[len(values) > _FEW_LABELS or numbers]
        if not 1 < len(values) <= self.count / rows or len({type(one) for one in values}) > 1:
            return None
        return None if numbers and len(values) > _MOST_CODES else sorted(values)

    def texts(self) -> list[str]:
        """Return the different texts; none if they are too many, or too long, to be labels."""
        return [one for one in (self._values or {}).values() if isinstance(one, str) and one]

    def number(self) -> dict[str, JsonValue] | None:
        """Return the parameters of `number`, if each value is a number or ends in one behind the same tag."""
        found = [tag for tag, always in self._numbers.items() if always and self.count]
        return None if not found else {} if found[0] is None else {"expected_after": found[0]}

    def only(self, *kinds: str) -> bool:
        """Whether there are values, all of these kinds."""
        return bool(self.kinds) and not self.kinds.keys() - set(kinds)

    def words(self) -> float:
        """Return the median number of words of the texts."""
        counts = sorted(self._words.elements())
        return float(counts[len(counts) // 2]) if counts else 0.0


def kind_of(value: JsonValue) -> str:
    """Return what Picoschema calls the kind of a value."""
    return "object" if isinstance(value, Mapping) else _KINDS.get(type(value), "any")


def _may_be_label(value: JsonValue) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_LABEL and value == value.strip() and value.isprintable()
    return isinstance(value, bool | int)


def _is_number(value: JsonValue, tag: str | None) -> bool:
    """Whether a value is one number and nothing else, or a text with a number behind a tag."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    text = str(value).strip()
    if tag is None and (len(text) > _LONGEST_NUMBER or any(one.isalpha() for one in text) or _is_code(text)):
        return False
    if tag is not None and (not isinstance(value, str) or tag not in text):
        return False
    try:
        return not NumberReader(after=tag).read(value).doubt
    except Unreadable:
        return False


def _is_code(text: str) -> bool:
    """Whether digits are a code, in which a zero in front counts."""
    return len(text) > 1 and text[0] == "0" and text[1].isdigit()


class RecordedOutputs(Golds):
    """What a model answered already, as plain text, and how many answers name several of the expected texts."""

    def __init__(self, expected: Golds) -> None:
        super().__init__()
        self._expected = {_as_contained(one) for one in expected.texts()}
        self.several = 0

    def add(self, value: JsonValue) -> None:
        """Take one answer into account."""
        super().add(value)
        if isinstance(value, str) and len(self._expected) > 1:
            text = _as_contained(value)
            self.several += sum(one in text for one in self._expected) > 1

    @property
    def often_several(self) -> bool:
        """Whether `contains` would pass too many wrong answers."""
        return self.several > _FEW_WITH_SEVERAL * self.count


def _as_contained(text: str) -> str:
    """Return a text as `contains` compares it."""
    return str(folded(text, ignore_case=True, form="nfc"))


class FirstSuite(Value, kw_only=True):
    """How outputs are asked for and graded, and why. `schema`: of the output, in Picoschema; none for plain text."""

    asks: str
    graders: Sequence[JsonValue]
    why: str
    doubt: str = ""  # what a reader must look at before a rate is believed
    schema: Mapping[str, JsonValue] = {}
    max_tokens: int = _MOST_TOKENS


def add_starter(
    transfer: Transfer,
    name: str,
    rows: Iterable[Row],
    where: str,
    *,
    key: str = "label",
    outputs: Iterable[str] | None = None,
) -> None:
    """Add a prompt and a suite for a dataset, by all of its rows.

    `key`: what the label is called in an answer. `outputs`: what a model answered already, as plain text.
    """
    gold, total = Golds(), 0
    inputs: dict[str, Golds] = {}
    for row in rows:
        total += 1
        for one, value in row["inputs"].items():
            inputs.setdefault(one, Golds()).kinds[kind_of(value)] += 1
        if "expected" in row:
            gold.add(row["expected"])
    answered = None if outputs is None else RecordedOutputs(gold)
    for output in outputs or ():
        if answered is not None:
            answered.add(output)
    choice = _chosen(gold, key, answered)
    transfer.prompts[name] = [_version(choice, inputs)]
    edited = f"prompts/{name}/v1.prompt"
    if answered is None:  # recorded outputs are of no draft
        edited = f"prompts/{name}/draft.prompt"
        transfer.files[edited] = version_text(transfer.prompts[name][0]).encode()
    transfer.suites[name] = {"prompt": name, "dataset": name, "graders": list(choice.graders)}
    _tell(transfer, where, name, edited, choice)
    if 0 < gold.count < total:
        what = f"{total - gold.count:,} of {total:,} rows expect nothing: no grader judges them, and they are ungraded"
        transfer.sheet.add(
            Fidelity.NOTE, where, "expected", what, subject=Subject.CASE, do="fill in the values, or remove the rows"
        )


def _tell(transfer: Transfer, where: str, name: str, edited: str, choice: FirstSuite) -> None:
    what = "this prompt is a start: say in it what you want"
    transfer.sheet.add(Fidelity.NOTE, where, edited, what, subject=Subject.PROMPT)
    do = "docs/reference/graders.md"
    suite = f"evals/{name}.yaml"
    transfer.sheet.add(Fidelity.NOTE, where, suite, choice.why, subject=Subject.GRADER, do=do)
    if choice.doubt:
        transfer.sheet.add(Fidelity.NOTE, where, suite, choice.doubt, subject=Subject.GRADER, do=do)


def _version(choice: FirstSuite, inputs: Mapping[str, Golds]) -> NewVersion:
    slots = [key for key in inputs if is_slot(key) and "." not in key]
    lines = [f"{{{{{slots[0]}}}}}"] if len(slots) == 1 else [f"{key}: {{{{{key}}}}}" for key in slots]
    user = '{{role "user"}}\n' + "\n".join(lines) + "\n" if lines else ""
    history = "{{history}}\n" if HISTORY in inputs else ""
    # A bound, since a small model may run on until its context is full.
    front: dict[str, JsonValue] = {"config": {"temperature": 0, "max_tokens": choice.max_tokens}}
    if slots and not history:
        front["input"] = {"schema": {key: _type(inputs[key]) for key in slots}}
    if choice.schema:
        front["output"] = {"format": "json", "schema": dict(choice.schema)}
    return NewVersion(f'{{{{role "system"}}}}\n{literal(choice.asks)}\n{user}{history}', front)


def _type(values: Golds) -> str:
    (kind, *others) = values.kinds
    return kind if not others and kind not in ("array", "object") else "any"


def _chosen(gold: Golds, key: str, answered: RecordedOutputs | None) -> FirstSuite:
    """Choose what is asked, in JSON where what is expected is closed and no output is recorded, and who grades it."""
    labels, number = gold.labels(), gold.number()
    if answered is None and gold.only("boolean"):
        asks, why = f"Is {key} true or false? Answer with JSON.", f"an answer is good if its {key} is the expected one"
        return FirstSuite(asks=asks, graders=["schema", {"equals": {"path": key}}], why=why, schema={key: "boolean"})
    if answered is None and labels is not None:
        return _labels(gold, labels, key)
    if gold.only("object"):
        return _object(gold, plain=answered is not None)
    if number is not None:
        behind = f" behind {number['expected_after']}" if number else ""
        why = f"all {gold.count:,} expected values are numbers{behind}: an answer is good if its last one is the same"
        return FirstSuite(asks="Answer with the number.", graders=[{"number": number} if number else "number"], why=why)
    return _text(gold, answered, labels)


def _labels(gold: Golds, labels: Sequence[JsonValue], key: str) -> FirstSuite:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in labels]
    listed = f": {', '.join(texts)}" if sum(map(len, texts)) <= _LISTED else ""
    return FirstSuite(
        asks=f"Which {key.replace('_', ' ')} fits{listed}? Answer with JSON.",
        graders=["schema", {"equals": {"path": key}}],
        why=f"{len(labels):,} different values in {gold.count:,} rows are labels: they are the output schema, "
        f"and an answer is good if its {key} is the expected one",
        schema={f"{key}(enum)": list(labels)},
        max_tokens=max(32, max(map(len, texts)) + 24),
    )


def _object(gold: Golds, *, plain: bool) -> FirstSuite:
    """Grade each field, if all rows have the same fields; otherwise an answer may say more than a row expects."""
    names = gold.order.names()
    simple = len(names) <= _MOST_FIELDS and all(one.isidentifier() and one.isascii() for one in names)
    same = simple and not plain and all(gold.order.counts[one] == gold.count for one in names)
    graders: list[JsonValue] = (
        [{"equals": {"path": one, "expected": one}} for one in names] if same else ["json_subset"]
    )
    why = "an answer is good if it is JSON that holds what is expected"
    listed = f": {', '.join(names)}" if simple else ""
    if not simple or plain:
        return FirstSuite(asks=f"Read the fields out of the text{listed}. Answer with JSON.", graders=graders, why=why)
    schema: dict[str, JsonValue] = {}
    for one in names:
        field = gold.fields[one]
        optional = "" if gold.order.counts[one] == gold.count else "?"
        labels = field.labels()
        schema |= {f"{one}{optional}(enum)": labels} if labels is not None else {f"{one}{optional}": _type(field)}
    return FirstSuite(
        asks=f"Read these fields out of the text{listed}. Answer with JSON.",
        graders=["schema", *graders],
        why="all rows expect the same fields: an answer is good if each of them is the expected one" if same else why,
        schema=schema,
    )


def _text(gold: Golds, answered: RecordedOutputs | None, labels: Sequence[JsonValue] | None) -> FirstSuite:
    asks, doubt = "Answer in a few words.", ""
    if labels is not None and sum(len(str(one)) for one in labels) <= _LISTED:
        asks = f"Answer with one of: {', '.join(map(str, labels))}"
    if not gold.count:
        asks, why = "Answer the request.", "no row says what is expected: any answer that is not empty is good"
        grader: JsonValue = {"length": {"min_chars": 1}}
    elif gold.only("array"):
        why = "each row expects a list: an answer is good if it equals one item, apart from spaces and capitals"
        grader = {"one_of": dict(_LOOSE)}
    elif gold.only("string") and gold.words() > _SHORT:
        asks = "Answer the request."
        why = "what is expected is long: an answer is good if it has half of its words in common with it"
        grader = {"similarity": {"measure": "token_f1", "pass_mark": 0.5}}
    elif answered is not None and gold.only("string") and answered.words() >= gold.words() + _MORE_WORDS:
        grader, why, doubt = _inside(answered, gold.texts() if labels is not None else ())
    else:
        why = "an answer is good if it equals what is expected, apart from spaces and capitals"
        grader = {"equals": dict(_LOOSE)}
    return FirstSuite(asks=asks, graders=[grader], why=why, doubt=doubt)


def _inside(answered: RecordedOutputs, labels: Sequence[str]) -> tuple[JsonValue, str, str]:
    """Return the grader of outputs that are sentences around what is expected, why, and what is in doubt.

    An output that weighs all labels contains the expected one whatever it decides, so `contains` would pass it.
    """
    several = f"{answered.several:,} of {answered.count:,} outputs contain more than one of the expected values"
    if labels and answered.often_several:
        longest_first = sorted(labels, key=lambda one: (-len(one), one))
        pattern = "|".join(map(_pattern, longest_first))
        why = "the outputs are longer than the labels: an answer is good if the last label in it is the expected one"
        doubt = f"{several}: read some; write which: first if yours name their answer first"
        return {"regex": {"pattern": pattern, "expected": "$", "which": "last", "ignore_case": True}}, why, doubt
    why = "the outputs are longer than what is expected: an answer is good if it contains that, apart from capitals"
    doubt = f"{several}: contains passes these whichever they decide for" if answered.several else ""
    if answered.often_several:
        doubt += ", so the good rate is too high; write a regex that finds the answer, with expected: $"
    return {"contains": {"expected": "$", "ignore_case": True}}, why, doubt


def _pattern(label: str) -> str:
    """Return a pattern for a label as a word of its own: `no` is not in `not`."""
    first, last = (r"\b" if one.isalnum() or one == "_" else "" for one in (label[0], label[-1]))
    return first + re.escape(label).replace(r"\ ", " ") + last
