"""In which parts of the fingerprint two sides differ, and what is known about it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from evalh.analysis.compare.comparison import Mismatch, PartDifference
from evalh.core.run import Fingerprint, RunRecord
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

_SHOWN = 60  # characters of a value
_DIGEST = len("sha256:") + 8
_MOST = 4  # values, or steps
_ABSENT = "not set"


class Answering(Value, kw_only=True):
    """What answers one step: its name in the workspace, and everything of its requests but the messages."""

    name: str
    settings: Mapping[str, JsonValue]


def answering(record: RunRecord) -> dict[str, Answering]:
    """Return what answered a run, by step; of a plain suite under an empty name."""
    if not record.steps:
        return {"": Answering(name=record.model, settings=record.settings_document)}
    return {
        one.step: Answering(name=one.model, settings=one.settings_document or {})
        for one in record.steps
        if one.model is not None
    }


def differing(
    prints: tuple[Fingerprint, Fingerprint],
    answerers: tuple[Mapping[str, Answering], Mapping[str, Answering]],
    mismatches: Sequence[Mismatch],
) -> tuple[PartDifference, ...]:
    """Name every part that differs, in the order of the fingerprint; the pairs are base's and head's."""
    base, head = (one.document() for one in prints)
    named = {one.part for one in mismatches}
    parts = [part for part in base if base[part] != head[part] or part in named]
    return tuple(PartDifference(part=part, details=_details(part, parts, answerers, mismatches)) for part in parts)


def _details(
    part: str,
    parts: Sequence[str],
    answerers: tuple[Mapping[str, Answering], Mapping[str, Answering]],
    mismatches: Sequence[Mismatch],
) -> tuple[str, ...]:
    if part == "model":
        return _cut([*_models(*answerers)])
    if part == "route" and "model" not in parts:
        return _cut([*_names(*answerers)])
    if part == "dataset":
        return tuple(f"{len(one.cases)} cases" for one in mismatches if one.part == part and one.cases)
    return ()


def _cut(details: Sequence[str]) -> tuple[str, ...]:
    more = len(details) - _MOST
    return (*details[:_MOST], f"and {more} more") if more > 0 else tuple(details)


def _names(base: Mapping[str, Answering], head: Mapping[str, Answering]) -> Iterator[str]:
    """Yield the names that answer, where they are others: of all steps once where all go from one to the same other."""
    pairs = {step: (base[step].name, head[step].name) for step in base if step in head}
    others = {step: pair for step, pair in pairs.items() if pair[0] != pair[1]}
    if len({*pairs.values()}) == 1:
        others = dict.fromkeys([""] if others else [], next(iter(pairs.values())))
    for step, (before, after) in others.items():
        yield f"{step}: {before} → {after}" if step else f"{before} → {after}"


def _models(base: Mapping[str, Answering], head: Mapping[str, Answering]) -> Iterator[str]:
    yield from _names(base, head)
    for step in base:
        if step in head and base[step].name == head[step].name:
            told = [*_settings(base[step].settings, head[step].settings)]
            yield from (f"{step or base[step].name}: {one}" for one in told)


def _settings(base: Mapping[str, JsonValue], head: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield what is sent otherwise under the same name: to which model, where, and with which parameters."""
    if base.get("model") != head.get("model"):
        yield _change("", base.get("model"), head.get("model"))
    for part in ("sent_to", "params"):
        before, after = _mapping(base.get(part)), _mapping(head.get(part))
        for key in dict.fromkeys(chain(before, after)):
            if key == "route":
                continue  # a digest of what the route holds
            if before.get(key) != after.get(key):
                yield _change(f"{key} ", before.get(key), after.get(key))


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _change(name: str, base: JsonValue, head: JsonValue) -> str:
    return f"{name}{_shown(base)} → {_shown(head)}"


def _shown(value: JsonValue) -> str:
    if value is None:
        return _ABSENT
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.startswith("sha256:"):  # of a recording, or of a local model's weights: enough to tell them apart
        return f"{text[:_DIGEST]}…"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
