"""What a judge judges by: a rubric, and a scale that is stated, never guessed."""

import re
from collections.abc import Mapping
from typing import Any

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome, Verdict
from evalh.graders.judges.replies import ReplyReading, Sought
from evalh.graders.judges.scales import Part, PointScale, WordScale
from evalh.graders.kinds import Scope
from evalh.graders.quoting import one_line

PASS_FAIL = "pass/fail"  # noqa: S105 (a scale, not a password)
_PASS_FAIL = {"pass": 1, "passes": 1, "passed": 1, "fail": 0, "fails": 0, "failed": 0}
_VERDICTS = (
    *("verdict", "judgment", "judgement", "decision", "result", "outcome", "assessment", "evaluation", "conclusion"),
    *("grade", "overall", "final answer", "status", "pass/fail"),
    *("urteil", "veredicto", "verdetto", "вердикт", "判定", "结论"),
)
_VERDICT_KEYS = ("verdict", "final_verdict", *_VERDICTS[1:6], "grade", "status")
_SCORES = (
    *("score", "rating", "grade", "verdict", "overall", "assessment", "evaluation", "final answer", "total"),
    *("punktzahl", "bewertung", "puntuación", "оценка", "评分", "得分", "スコア"),
)
_SCORE_KEYS = ("score", "final_score", "overall_score", "rating")
_RANGE = re.compile(r"(\d{1,3})\s*-\s*(\d{1,3})")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*@(?:v[1-9][0-9]*|draft)")
_FILE = re.compile(r"[^\s\n]+\.(?:md|txt)")
_ENUMERATED = 20  # values that a schema lists one by one
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_REASON = 600  # characters of a judge's reason that a verdict keeps


class Scale(Value, kw_only=True):
    """How a judge says what it thinks. `low`, `high` and `mark` are None for pass or fail."""

    low: int | None = None
    high: int | None = None
    mark: int | None = None
    criteria: tuple[tuple[str, str], ...] = ()  # names, and what each asks

    @classmethod
    def read(cls, scope: Scope, stated: Mapping[str, JsonValue]) -> "Scale":
        """Read `scale`, `pass_mark` and `criteria`. Raises WorkspaceError."""
        text = stated.get("scale")
        if text is None:
            raise scope.wrong("states no scale", "scale: pass/fail, or scale: 1-5 with pass_mark: 4")
        mark, criteria = stated.get("pass_mark"), _criteria(scope, stated.get("criteria"))
        if text == PASS_FAIL:
            if mark is not None:
                raise scope.wrong("states a pass_mark, and its scale is pass/fail", "scale: 1-5")
            return cls(criteria=criteria)
        found = _RANGE.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) >= int(found[2]):
            raise scope.wrong(f"has no scale {text!r}", "scale: pass/fail, or scale: 1-5 with pass_mark: 4")
        low, high = int(found[1]), int(found[2])
        if isinstance(mark, bool) or not isinstance(mark, int) or not low < mark <= high:
            raise scope.wrong(
                f"needs a pass_mark above {low} and up to {high}", f"pass_mark: {high - (high - low) // 4}"
            )
        return cls(low=low, high=high, mark=mark, criteria=criteria)

    @property
    def words(self) -> str:
        """Say what one judgement may be."""
        return "pass or fail" if self.low is None else f"a whole number from {self.low} (worst) to {self.high} (best)"

    def schema(self) -> dict[str, JsonValue]:
        """Return the schema of a reply: the reason first, the verdict after."""
        one = self._one()
        if self.criteria:
            names = [name for name, _ in self.criteria]
            one = _object(dict.fromkeys(names, one))
        return _object({"reason": {"type": "string"}, self.key: one})

    @property
    def key(self) -> str:
        """The key that the verdict stands under."""
        if self.criteria:
            return "scores"
        return "verdict" if self.low is None else "score"

    def example(self) -> str:
        """Return the form of a reply, for the prompt."""
        one = '"pass" or "fail"' if self.low is None else f"{self.low} to {self.high}"
        if self.criteria:
            one = "{" + ", ".join(f'"{name}": {one}' for name, _ in self.criteria) + "}"
        return f'{{"reason": "…", "{self.key}": {one}}}'

    def document(self) -> list[JsonValue]:
        return [self.low, self.high, self.mark, [list(one) for one in self.criteria]]

    def sought(self, *, reasoned: bool) -> Sought:
        """Return what a reply must say. `reasoned`: it was asked for its reason as well."""
        scale = WordScale(_PASS_FAIL) if self.low is None or self.high is None else PointScale(self.low, self.high)
        if self.criteria:
            parts = tuple(Part(labels=_names(name), scale=scale, lines="none") for name, _ in self.criteria)
            return Sought(parts=parts, inside=self.key, reasoned=reasoned)
        if isinstance(scale, WordScale):
            part = Part(labels=_VERDICTS, scale=scale, keys=_VERDICT_KEYS, flags=("pass", "passed"))
        else:
            part = Part(labels=_SCORES, scale=scale, keys=_SCORE_KEYS)
        return Sought(parts=(part,), reasoned=reasoned)

    def judgement(self, reading: ReplyReading) -> "Judgement":
        return Judgement(tuple(int(value) for value in reading.values), reading.reason)

    def verdict(self, judgement: "Judgement") -> Verdict:
        """Turn a judgement into a verdict: every criterion must reach the mark, the score is their mean in [0, 1]."""
        low, high = (0, 1) if self.low is None or self.high is None else (self.low, self.high)
        mark = 1 if self.mark is None else self.mark
        shares = [(points - low) / (high - low) for points in judgement.points]
        passed = all(points >= mark for points in judgement.points)
        told = self.told(judgement)
        return Verdict(
            Outcome.PASS if passed else Outcome.FAIL,
            sum(shares) / len(shares),
            one_line(f"{told}: {judgement.reason}" if told else judgement.reason, _REASON),
            detail=None if not self.criteria else {"scores": self._named(judgement)},
        )

    def told(self, judgement: "Judgement") -> str:
        """Say the points, for people; empty for a plain pass or fail."""
        if self.criteria:
            return ", ".join(f"{name} {said}" for name, said in self._named(judgement).items())
        return "" if self.low is None else f"{judgement.points[0]} of {self.high}, {self.mark} passes"

    @property
    def mark_share(self) -> float:
        """The pass mark in [0, 1]."""
        if self.low is None or self.high is None or self.mark is None:
            return 1.0
        return (self.mark - self.low) / (self.high - self.low)

    def _named(self, judgement: "Judgement") -> dict[str, JsonValue]:
        words: Mapping[int, str] = {0: "fail", 1: "pass"} if self.low is None else {}
        return {
            name: words.get(points, points) for (name, _), points in zip(self.criteria, judgement.points, strict=True)
        }

    def _one(self) -> dict[str, JsonValue]:
        if self.low is None or self.high is None:
            return {"type": "string", "enum": ["pass", "fail"]}
        if self.high - self.low < _ENUMERATED:
            return {"type": "integer", "enum": list(range(self.low, self.high + 1))}
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Judgement(Value):
    """What a reply says: points (one for each criterion; pass is 1 and fail 0 where the scale is pass/fail)."""

    points: tuple[int, ...]
    reason: str


def _names(name: str) -> tuple[str, ...]:
    """Return how a reply may write a criterion's name."""
    lowered = name.lower()
    return tuple(dict.fromkeys((lowered, lowered.replace("_", " "))))


def is_reference(text: str) -> bool:
    """Tell a prompt version (`tone@v2`) from a rubric."""
    return _REFERENCE.fullmatch(text) is not None


def is_file(text: str) -> bool:
    """Tell a rubric file's path from a rubric."""
    return _FILE.fullmatch(text) is not None


def _criteria(scope: Scope, stated: JsonValue) -> tuple[tuple[str, str], ...]:
    if stated is None:
        return ()
    if not isinstance(stated, Mapping) or not stated:
        raise scope.wrong("needs criteria by name", "criteria: {polite: Is it polite?, correct: Is it right?}")
    for name, asks in stated.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise scope.wrong(f"cannot call a criterion {name!r}", "letters, digits and _")
        if not isinstance(asks, str) or not asks.strip():
            raise scope.wrong(f"says nothing of criterion {name!r}", f"criteria: {{{name}: What does it ask?}}")
    if len({_names(name) for name in stated}) < len(stated):
        raise scope.wrong("has two criteria of one name but for its case", "a reply must tell them apart")
    return tuple(stated.items())


def _object(properties: dict[str, JsonValue]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
