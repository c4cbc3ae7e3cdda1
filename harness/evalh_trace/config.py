"""Where production is recorded, and what of it: the table `[trace]` of evalh.toml, and what the program says itself.

Nothing here raises for what a person wrote: `problems` lists it, and content stays off.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from evalh_trace.redaction import KINDS, Redactor, pattern_problem

ALWAYS = ("error", "check", "feedback")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_KEYS = ("store", "content", "redact", "sample", "keep")
_MOST_RULES = 200


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Which workflows are kept with all that belongs to them."""

    rate: float = 1.0
    always: frozenset[str] = frozenset()  # of ALWAYS
    slow_s: float | None = None  # and those that took as long

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is dropped."""
        return self.rate >= 1.0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What `[trace]` says."""

    content: bool = False
    redact: tuple[Any, ...] = ()  # kinds by name, {"pattern": …}, {"field": …}
    sample: Sample = Sample()
    keep_s: float | None = None
    store: str | None = None

    def redactor(self) -> Redactor:
        """Return what takes personal data out of content."""
        return Redactor(self.redact)


def read_config(table: Mapping[str, Any]) -> Config:
    """Read a table that has no `problems`; of one that has, what is right in it, with content off."""
    wrong = problems(table)
    bad = {one.split(":", 1)[0].split(".", 1)[0] for one in wrong}
    redact = tuple(table["redact"]) if "redact" in table and "redact" not in bad else ()
    said = table.get("content")
    content = bool(said) if isinstance(said, bool) else bool(redact)
    return Config(
        content=content and not wrong,
        redact=redact,
        sample=_sample(table.get("sample", {})) if "sample" not in bad else Sample(),
        keep_s=duration_s(table.get("keep")),
        store=table["store"] if isinstance(table.get("store"), str) else None,
    )


def problems(table: Mapping[str, Any]) -> list[str]:
    """Say what is wrong in a table `[trace]`, `key: what`; empty if nothing is."""
    found = [f"{key}: is not a key of [trace]; have {', '.join(_KEYS)}" for key in table if key not in _KEYS]
    if not isinstance(table.get("content", False), bool):
        found.append("content: must be true or false")
    if not isinstance(table.get("store", ""), str):
        found.append("store: must be a folder")
    if "keep" in table and duration_s(table["keep"]) is None:
        found.append('keep: must be a time such as "30d"')
    return found + _redact_problems(table.get("redact", [])) + _sample_problems(table.get("sample", {}))


def _redact_problems(rules: Any) -> list[str]:
    if not isinstance(rules, list | tuple) or len(rules) > _MOST_RULES:
        return [f"redact: must be a list of at most {_MOST_RULES} rules"]
    found = []
    for rule in rules:
        if isinstance(rule, str):
            if rule not in KINDS:
                found.append(f"redact: {rule[:50]!r} is not a kind of personal data; have {', '.join(KINDS)}")
        elif not isinstance(rule, Mapping) or len(rule) != 1 or not {"pattern", "field"} & set(rule):
            found.append('redact: a rule is a kind, {pattern = "…"} or {field = "…"}')
        elif not all(isinstance(one, str) and one for one in rule.values()):
            found.append("redact: a pattern or a field is a text that is not empty")
        elif "pattern" in rule and (why := pattern_problem(rule["pattern"])):
            found.append(f"redact: {why}")
    return found


def _sample_problems(sample: Any) -> list[str]:
    if not isinstance(sample, Mapping):
        return ["sample: must be a table: {rate = 0.01, always = [...]}"]
    found = [f"sample.{key}: is not a key; have rate, always" for key in sample if key not in {"rate", "always"}]
    rate = sample.get("rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        found.append("sample.rate: must be a number from 0 to 1")
    always = sample.get("always", [])
    if not isinstance(always, list | tuple):
        return [*found, "sample.always: must be a list"]
    wrong = [one for one in always if not isinstance(one, str) or (one not in ALWAYS and _slow_s(one) is None)]
    have = f'{", ".join(ALWAYS)}, "slow:10s"'
    return found + [f"sample.always: {str(one)[:50]!r} is not one of {have}" for one in wrong]


def _sample(sample: Mapping[str, Any]) -> Sample:
    always = sample.get("always", ())
    slow = [seconds for one in always if (seconds := _slow_s(one)) is not None]
    return Sample(
        rate=float(sample.get("rate", 1.0)),
        always=frozenset(one for one in always if one in ALWAYS),
        slow_s=min(slow, default=None),
    )


def _slow_s(text: str) -> float | None:
    return duration_s(text[5:]) if text.startswith("slow:") else None


def duration_s(text: Any) -> float | None:
    """Read `30d`, `12h`, `10s`; None for what is not a time."""
    if not isinstance(text, str) or not text[:-1].isascii() or not text[:-1].replace(".", "", 1).isdigit():
        return None
    unit = _UNITS.get(text[-1])
    return None if unit is None or len(text) > 12 else float(text[:-1]) * unit  # noqa: PLR2004 (a longer text is not a time)


class Place(msgspec.Struct, frozen=True):
    """Where production is recorded, and what was read of evalh.toml."""

    store: Path
    table: Mapping[str, Any] = {}
    wrong: tuple[str, ...] = ()


def find_place(options: Mapping[str, Any], env: Mapping[str, str], folder: Path) -> Place:
    """Find the store and the table `[trace]`: the program's word, the environment, the nearest evalh.toml upwards."""
    home = next((one for one in (folder, *folder.parents) if (one / "evalh.toml").is_file()), None)
    table, wrong = ({}, ()) if home is None else _trace_table(home / "evalh.toml")
    said = options.get("store") or env.get("EVALH_TRACE_STORE") or env.get("EVALH_STORE")
    if said:
        return Place(folder / os.fspath(said), table, wrong)
    root = home or folder
    named = table.get("store")
    return Place(root / (named if isinstance(named, str) and named else ".evalh"), table, wrong)


def _trace_table(file: Path) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    try:
        with file.open("rb") as opened:
            table = tomllib.load(opened).get("trace", {})
    except (OSError, ValueError, RecursionError):
        return {}, ("evalh.toml: cannot be read",)
    return (table, ()) if isinstance(table, dict) else ({}, ("trace: must be a table",))
