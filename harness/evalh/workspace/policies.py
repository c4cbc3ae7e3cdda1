"""`gate:` of a suite: the policy of the merge gate.

`value:` of a suite: what bad outputs, reviews and withheld answers cost.

`baseline:` of a suite: how long accepted results are believed, and whether their outputs may lie in git.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.located import Table, kind_of
from evalh.core.suite import (
    DEFAULT_CANARY,
    DEFAULT_DISCORDANCE,
    DEFAULT_MARGIN,
    About,
    BaselinePolicy,
    Doubt,
    GatePolicy,
    GraderRule,
    GraderSpec,
    MustPass,
    Never,
    OutcomePrices,
    OutputValue,
    Require,
)

E = TypeVar("E", bound=StrEnum)

_LOWEST = 0.001  # a margin below that no dataset could ever show
_MOST_TRIALS = 1000
_MOST_CANARIES = 10_000
_MARGIN = {"type": "number", "minimum": _LOWEST, "maximum": 0.5}
_MAY_RISE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["may_rise"],
    "properties": {"may_rise": {"type": "number", "minimum": 0, "description": "0.1: by a tenth."}},
}
_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}

GATE_KEYS: Mapping[str, dict[str, Any]] = {
    "require": {
        "enum": [str(one) for one in Require],
        "description": "Refuse only what is shown worse (default), or accept only what is shown to be no worse.",
    },
    "margin": {**_MARGIN, "description": f"A drop of the good rate that is still no worse. Default: {DEFAULT_MARGIN}."},
    "target": {
        "enum": [str(one) for one in About],
        "description": "Whether the verdict is about cases like these (default), or about this dataset.",
    },
    "doubt": {
        "enum": [str(one) for one in Doubt],
        "description": "What to do where a number is beyond its bound as measured and chance may explain it: accept in "
        "doubt, which the headline says (default), decide nothing, or refuse.",
    },
    "sequential": {"type": "boolean", "description": "Stop as soon as the verdict is sure. Default: true."},
    "discordance": {
        "type": "number",
        "minimum": 0.02,
        "maximum": 1,
        "description": f"The share of cases expected to differ: sets the bets. Default: {DEFAULT_DISCORDANCE}.",
    },
    "trials": {
        "type": "integer",
        "minimum": 1,
        "maximum": _MOST_TRIALS,
        "description": "How often each case is run. Default: the suite's.",
    },
    "must_pass": {
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["tags"]}, {"required": ["cases"]}],
        "properties": {
            "tags": {**_NAMES, "description": "Cases with any of these tags."},
            "cases": {**_NAMES, "description": "Cases by id."},
            "trials": {"type": "integer", "minimum": 1, "maximum": _MOST_TRIALS, "description": "Default: 1."},
            "passes": {
                "type": "integer",
                "minimum": 1,
                "maximum": _MOST_TRIALS,
                "description": "How many of the trials must be good. Default: all.",
            },
        },
        "description": "Cases that must be good, whatever the statistics say.",
    },
    "good_rate": {
        "type": "object",
        "additionalProperties": False,
        "required": ["at_least"],
        "properties": {"at_least": {"type": "number", "minimum": 0, "maximum": 1}},
        "description": "The good rate below which head is refused.",
    },
    "never": {
        "oneOf": [_NAMES, {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}],
        "description": "Graders that must not fail; or, with a share, whose failures must be shown to be rarer.",
    },
    "cost_per_good": {**_MAY_RISE, "description": "By how much the cost of one good output may rise."},
    "net_loss": {
        **_MAY_RISE,
        "description": "By how much the cost of a case may rise, with what follows its output; needs `value`.",
    },
    "latency_p95": {**_MAY_RISE, "description": "By how much the 95th percentile of the latency may rise."},
    "graders": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"margin": _MARGIN},
        },
        "description": "Graders whose passes are held to the requirement too, each with its margin.",
    },
    "max_ungraded": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "The share of cases that may stay ungraded. Default: the suite's.",
    },
    "canary": {
        "type": "integer",
        "minimum": 0,
        "maximum": _MOST_CANARIES,
        "description": "How many of base's accepted cases are asked again: did the model move? 0: none. "
        f"Default: {DEFAULT_CANARY} where a hosted model has a baseline.",
    },
}


def gate_policy(table: Table, graders: Collection[str]) -> GatePolicy:
    """Read the policy under `gate`; `graders` are the names of the suite's. Raises WorkspaceError with file:line."""
    table.refuse_unknown(GATE_KEYS)
    margin = _share(table, "margin", _LOWEST, 0.5)
    return GatePolicy(
        require=_choice(table, "require", Require) or Require.NOT_WORSE_SHOWN,
        margin=DEFAULT_MARGIN if margin is None else margin,
        target=_choice(table, "target", About) or About.POPULATION,
        doubt=_choice(table, "doubt", Doubt) or Doubt.ACCEPT,
        sequential=_flag(table, "sequential", default=True),
        discordance=_share(table, "discordance", 0.02, 1.0) or DEFAULT_DISCORDANCE,
        trials=table.count("trials", _MOST_TRIALS),
        must_pass=_must_pass(table),
        good_rate=_inner(table, "good_rate", "at_least", 1.0),
        never=_never(table, graders),
        cost_may_rise=_inner(table, "cost_per_good", "may_rise"),
        latency_may_rise=_inner(table, "latency_p95", "may_rise"),
        net_loss_may_rise=_inner(table, "net_loss", "may_rise"),
        graders=_grader_rules(table, graders, DEFAULT_MARGIN if margin is None else margin),
        max_ungraded=_share(table, "max_ungraded", 0.0, 1.0),
        canary=_canary(table),
        where=table.where(),
    )


def _share(table: Table, key: str, low: float, high: float) -> float | None:
    value = table.number(key, low, high)
    return None if value is None else float(value)


def _choice(table: Table, key: str, words: type[E]) -> E | None:
    text = table.text(key)
    if text is None:
        return None
    try:
        return words(text)
    except ValueError:
        known = [str(word) for word in words]
        what = f"{key!r} must be {' or '.join(known)}, not {text!r}"
        raise WorkspaceError(what, where=table.where(key), hint=did_you_mean(text, known)) from None


def _flag(table: Table, key: str, *, default: bool) -> bool:
    value = table.values.get(key, default)
    if not isinstance(value, bool):
        raise WorkspaceError(f"{key!r} must be true or false, not {kind_of(value)}", where=table.where(key))
    return value


def _canary(table: Table) -> int | None:
    if table.values.get("canary") == 0 and not isinstance(table.values["canary"], bool):
        return 0
    return table.count("canary", _MOST_CANARIES)


def _inner(table: Table, key: str, inner: str, high: float = float("inf")) -> float | None:
    """Read a rule of one number, such as `good_rate: {at_least: 0.9}`."""
    if key not in table.values:
        return None
    rule = table.table(key)
    rule.refuse_unknown((inner,))
    number = rule.number(inner, high=high)
    if number is None:
        raise WorkspaceError(f"{inner!r} is missing", where=rule.where(), hint=f"{key}: {{{inner}: 0.1}}")
    return float(number)


def _must_pass(table: Table) -> MustPass | None:
    if "must_pass" not in table.values:
        return None
    rule = table.table("must_pass")
    rule.refuse_unknown(GATE_KEYS["must_pass"]["properties"])
    tags, cases = frozenset(rule.texts("tags")), frozenset(rule.texts("cases"))
    if not tags and not cases:
        raise WorkspaceError(
            "says of no case that it must pass", where=rule.where(), hint="must_pass: {tags: [incident]}"
        )
    trials = rule.count("trials", _MOST_TRIALS) or 1
    passes = rule.count("passes", _MOST_TRIALS) or trials
    if passes > trials:
        what = f"{passes} of {trials} trials cannot pass"
        raise WorkspaceError(what, where=rule.where("passes"), hint=f"passes: {trials}")
    return MustPass(tags=tags, cases=cases, trials=trials, passes=passes)


def _never(table: Table, graders: Collection[str]) -> tuple[Never, ...]:
    value = table.values.get("never")
    if isinstance(value, Mapping):
        rule = table.table("never")
        _refuse_strange(rule, rule.values, graders)
        return tuple(Never(name, _share(rule, name, 0.0, 1.0)) for name in rule.values)
    names = table.texts("never")
    for number, name in enumerate(names):
        if name not in graders:
            raise WorkspaceError(
                f"the suite has no grader {name!r}",
                where=table.where("never", number),
                hint=did_you_mean(name, graders),
            )
    return tuple(Never(name) for name in names)


def _grader_rules(table: Table, graders: Collection[str], margin: float) -> tuple[GraderRule, ...]:
    rules = table.table("graders")
    _refuse_strange(rules, rules.values, graders)
    found = []
    for name in rules.values:
        rule = rules.table(name)
        rule.refuse_unknown(("margin",))
        found.append(GraderRule(name, _share(rule, "margin", _LOWEST, 0.5) or margin))
    return tuple(found)


def _refuse_strange(rules: Table, names: Collection[str], graders: Collection[str]) -> None:
    for name in names:
        if name not in graders:
            raise WorkspaceError(
                f"the suite has no grader {name!r}", where=rules.where(name), hint=did_you_mean(name, graders)
            )


_USD = {"type": "number", "minimum": 0}

VALUE_KEYS: Mapping[str, dict[str, Any]] = {
    "bad_usd": {**_USD, "description": "What a bad output costs that is taken for good, in USD. Default: 0."},
    "review_usd": {**_USD, "description": "What it costs that a person looks at an output, in USD. Default: 0."},
    "abstain_usd": {**_USD, "description": "What it costs that no output is given, in USD. Default: 0."},
    "review": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "The graders whose `fail` sends an output to a person. Default: those that are not required.",
    },
}


def read_value(table: Table, graders: Sequence[GraderSpec]) -> OutputValue | None:
    """Read what stands under `value` of a suite's table; None: nothing. Raises WorkspaceError with file:line."""
    if "value" not in table.values:
        return None
    own = table.table("value")
    own.refuse_unknown(VALUE_KEYS)
    bad, review, abstain = (_usd(own, key) for key in ("bad_usd", "review_usd", "abstain_usd"))
    if "review" in own.values:
        names = own.texts("review")
        known = [grader.name for grader in graders]
        for number, name in enumerate(names):
            if name not in known:
                what = f"the suite has no grader {name!r}"
                raise WorkspaceError(what, where=own.where("review", number), hint=did_you_mean(name, known))
    else:
        names = tuple(grader.name for grader in graders if not grader.required)
    return OutputValue(
        prices=OutcomePrices(bad_usd=bad, review_usd=review, abstain_usd=abstain),
        review=frozenset(names),
        where=own.where(),
    )


def _usd(table: Table, key: str) -> float:
    amount = table.number(key)
    return 0.0 if amount is None else float(amount)


_AGE = re.compile(r"([1-9]\d{0,4}) ?(d|days?|w|weeks?)")
_DAYS_A_WEEK = 7
_WRITE = "max_age: 30d; or 4w"

BASELINE_KEYS: Mapping[str, dict[str, Any]] = {
    "max_age": {
        "type": "string",
        "pattern": f"^{_AGE.pattern}$",
        "description": "How old a baseline may be, such as 30d or 4w; an older one is stale. Default: any age.",
    },
    "outputs": {
        "type": "boolean",
        "description": "Whether outputs may be kept in git beside the results. Default: true.",
    },
}


def baseline_policy(table: Table) -> BaselinePolicy:
    """Read what is under `baseline`. Raises WorkspaceError with file:line."""
    table.refuse_unknown(BASELINE_KEYS)
    outputs = table.values.get("outputs", True)
    if not isinstance(outputs, bool):
        raise WorkspaceError(f"'outputs' must be true or false, not {kind_of(outputs)}", where=table.where("outputs"))
    return BaselinePolicy(max_age_days=_days(table), outputs=outputs)


def _days(table: Table) -> int | None:
    if "max_age" not in table.values:
        return None
    value = table.values["max_age"]
    found = _AGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise WorkspaceError("'max_age' must be days or weeks", where=table.where("max_age"), hint=_WRITE)
    return int(found[1]) * (_DAYS_A_WEEK if found[2].startswith("w") else 1)
