"""Token log-probabilities as they come from the wire, made one small value; and who gives them when asked how."""

from collections.abc import Mapping
from math import isfinite

import msgspec
from msgspec import Raw

from evalh.core.attempt import Logprobs
from evalh.core.ports import Provider
from evalh.core.strict_json import JsonValue
from evalh.providers.http.errors import at
from evalh.providers.repaired_json import RepairedJson

PARAM = "logprobs"


def not_asked(provider: Provider, params: Mapping[str, JsonValue]) -> str | None:
    """Say what to do where a model's answers will carry none; None: they may. Plugins and recordings may."""
    names = provider.traits.logprobs_by
    if names is None or any(params.get(name) is True for name in names):
        return None
    if not names:
        return f"{provider.kind} gives none: ask another model, or leave this grader out"
    return f"params = {{{PARAM} = true}}"


class LogprobSum:
    """Adds up the log-probabilities of an answer's tokens. If one is not a number, the answer has none."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._least = 0.0
        self._count = 0
        self._spoilt = False

    def add(self, logprob: object) -> None:
        if isinstance(logprob, bool) or not isinstance(logprob, int | float) or not isfinite(logprob):
            self._spoilt = True
            return
        value = min(float(logprob), 0.0)  # rounding lets some servers give a little more than 0
        self._sum += value
        self._least = min(self._least, value)
        self._count += 1

    def value(self) -> Logprobs | None:
        """Return what they come to; None where there is none."""
        if self._spoilt or not self._count:
            return None
        return Logprobs(self._sum / self._count, self._least, self._count)


def average(mean: object) -> Logprobs | None:
    """Return what an average alone tells."""
    tally = LogprobSum()
    tally.add(mean)
    told = tally.value()
    return None if told is None else Logprobs(told.mean)


_decode = msgspec.json.decode


def add_choice(tally: LogprobSum, raw: Raw) -> None:
    """Take a choice's `logprobs` of a chat completion; other servers' other shapes are let through."""
    text = bytes(raw)
    if text in {b"", b"null"}:
        return
    try:
        tokens = at(RepairedJson().read(_decode, text), "content")
    except (ValueError, RecursionError):
        tokens = [None]
    for token in tokens if isinstance(tokens, list) else ():
        tally.add(at(token, "logprob"))
