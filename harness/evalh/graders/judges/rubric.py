"""What a judge judges by: a rubric, and a scale that is stated, never guessed."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from evalh.core.attempt import Purpose
from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Form, Outcome, Verdict
from evalh.graders.judges.asking import JudgePrompt, Texts
from evalh.graders.judges.replies import ReplyReading, Sought
from evalh.graders.judges.scales import Part, PointScale, WordScale
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
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*@(?:v[1-9][0-9]*|draft)")  # a prompt version
_FILE = re.compile(r"[^\s\n]+\.(?:md|txt)")
Wrong: TypeAlias = Callable[[str, str | None], WorkspaceError]
"""Says what is wrong with a suite's entry, and what to type instead."""
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
    def read(cls, stated: Mapping[str, JsonValue], where_of: Callable[..., str]) -> "Scale":
        """Read `scale`, `pass_mark` and `criteria`, each from its place. Raises WorkspaceError."""

        def wrong(key: str, what: str, hint: str, *inside: str) -> WorkspaceError:
            return WorkspaceError(f"grader 'judge' {what}", where=where_of(key, *inside), hint=hint)

        text = stated.get("scale")
        if text is None:
            raise wrong("scale", "states no scale", "scale: pass/fail, or scale: 1-5 with pass_mark: 4")
        mark, criteria = stated.get("pass_mark"), _criteria(partial(wrong, "criteria"), stated.get("criteria"))
        if text == PASS_FAIL:
            if mark is not None:
                what = "states a pass_mark, and its scale is pass/fail"
                raise wrong("pass_mark", what, "leave out pass_mark, or state scale: 1-5")
            return cls(criteria=criteria)
        found = _RANGE.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) >= int(found[2]):
            what = f"has a scale that cannot be read: {text!r}"
            raise wrong("scale", what, "scale: pass/fail, or scale: 1-5 with pass_mark: 4")
        low, high = int(found[1]), int(found[2])
        if isinstance(mark, bool) or not isinstance(mark, int) or not low < mark <= high:
            what = f"needs a pass_mark above {low} and up to {high}"
            raise wrong("pass_mark", what, f"pass_mark: {high - (high - low) // 4}")
        return cls(low=low, high=high, mark=mark, criteria=criteria)

    @property
    def words(self) -> str:
        """What one judgement may be."""
        return "pass or fail" if self.low is None else f"a whole number from {self.low} (worst) to {self.high} (best)"

    def schema(self) -> dict[str, JsonValue]:
        """Return the schema of a reply: the reason first, the verdict after."""
        one = self._one()
        if self.criteria:
            names = [name for name, _ in self.criteria]
            one = closed_object(dict.fromkeys(names, one))
        return closed_object({"reason": {"type": "string"}, self.key: one})

    @property
    def key(self) -> str:
        """The key that the verdict stands under."""
        if self.criteria:
            return "scores"
        return "verdict" if self.low is None else "score"

    def asked(self) -> str:
        """Return what a judge is asked for besides its reason. No example: small models repeat one word by word."""
        each = f" for each of: {', '.join(name for name, _ in self.criteria)}" if self.criteria else ""
        return f'In "{self.key}", say {self.words}{each}.'

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

    def verdict(self, reading: ReplyReading) -> Verdict:
        """Turn a reply into a verdict: every criterion must reach the mark, the score is their mean in [0, 1]."""
        low, high = (0, 1) if self.low is None or self.high is None else (self.low, self.high)
        mark = 1 if self.mark is None else self.mark
        points = [int(value) for value in reading.values]
        words: Mapping[int, JsonValue] = {0: "fail", 1: "pass"} if self.low is None else {}
        scores = {name: words.get(one, one) for (name, _), one in zip(self.criteria, points, strict=False)}
        told = ", ".join(f"{name} {said}" for name, said in scores.items())
        if self.low is not None and not scores:
            told = f"{points[0]} of {high}; at least {mark}"
        return Verdict(
            Outcome.PASS if all(one >= mark for one in points) else Outcome.FAIL,
            sum((one - low) / (high - low) for one in points) / len(points),
            one_line(f"{told}: {reading.reason}" if told else reading.reason, _REASON),
            detail={"scores": scores} if scores else None,
        )

    @property
    def mark_share(self) -> float:
        """The pass mark in [0, 1]."""
        if self.low is None or self.high is None or self.mark is None:
            return 1.0
        return (self.mark - self.low) / (self.high - self.low)

    def _one(self) -> dict[str, JsonValue]:
        if self.low is None or self.high is None:
            return {"type": "string", "enum": ["pass", "fail"]}
        if self.high - self.low < _ENUMERATED:
            return {"type": "integer", "enum": list(range(self.low, self.high + 1))}
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Rubric(Value, kw_only=True):
    """A judge's rubric: a text, or a prompt version. `stated`: the scale that its file states."""

    text: str
    prompt: JudgePrompt | None = None
    stated: Mapping[str, JsonValue] = {}
    where_of: Callable[..., str] = str  # file:line of what its file states

    @classmethod
    def read(cls, wrong: Wrong, stated: str, texts: Texts, where: str, uses: Mapping[str, bool]) -> "Rubric":
        """Read the text, the file or the prompt version that a suite states. Raises WorkspaceError.

        `uses`: the variables of a prompt version that judges, and whether it must use them.
        """
        text = stated.strip()
        if not text:
            raise wrong("has an empty rubric", "rubric: The answer is polite and names no colleague.")
        if is_file(text):
            file = texts.rubric(text, where)
            return cls(text=file.text, stated=file.scale, where_of=file.where_of)
        if not is_reference(text):
            return cls(text=text)
        prompt = texts.prompt(text, where)
        unknown = sorted(prompt.variables - uses.keys())
        if unknown:
            what = f"names {prompt.label}, which uses {{{{{unknown[0]}}}}}"
            raise wrong(what, f"a judge is given: {', '.join(sorted(uses))}")
        lacking = [name for name, needed in uses.items() if needed and name not in prompt.variables]
        if lacking:
            name = f"{{{{{lacking[0]}}}}}"
            raise wrong(f"names {prompt.label}, which does not show {name}", f"put {name} into it")
        return cls(text=text, prompt=prompt)

    def form(self, params: Mapping[str, JsonValue], schema: Mapping[str, JsonValue]) -> Form:
        """Return the form of its questions: a prompt version's own params and schema go first."""
        prompt = self.prompt
        if prompt is None:
            return Form(purpose=Purpose.JUDGE, params=params, output_schema=schema).shared()
        merged = {**params, **prompt.params}
        return Form(purpose=Purpose.JUDGE, params=merged, output_schema=prompt.output_schema).shared()

    def document(self, *words: str) -> dict[str, JsonValue]:
        """Return what a digest covers; `words` are evalh's own, which a prompt version replaces."""
        if self.prompt is not None:
            return {"prompt": self.prompt.digest}
        return {"rubric": self.text, "words": digest(list(words))}


def is_file(stated: str) -> bool:
    """Whether a suite's `rubric` names a file."""
    return _FILE.fullmatch(stated) is not None


def is_reference(stated: str) -> bool:
    """Whether a suite's `rubric` names a prompt version."""
    return _REFERENCE.fullmatch(stated) is not None


def _names(name: str) -> tuple[str, ...]:
    """Return how a reply may write a criterion's name."""
    lowered = name.lower()
    return tuple(dict.fromkeys((lowered, lowered.replace("_", " "))))


def _criteria(wrong: Callable[..., WorkspaceError], stated: JsonValue) -> tuple[tuple[str, str], ...]:
    if stated is None:
        return ()
    if not isinstance(stated, Mapping) or not stated:
        raise wrong("needs criteria by name", "criteria: {polite: Is it polite?, correct: Is it right?}")
    for name, asks in stated.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise wrong(f"cannot call a criterion {name!r}", "use letters, digits and _", name)
        if not isinstance(asks, str) or not asks.strip():
            raise wrong(f"says nothing about the criterion {name!r}", f"criteria: {{{name}: What does it ask?}}", name)
    if len({_names(name) for name in stated}) < len(stated):
        raise wrong("has two criteria whose names a reply cannot tell apart", "rename one of them")
    return tuple(stated.items())


def closed_object(properties: dict[str, JsonValue]) -> dict[str, Any]:
    """Return the schema of an object with these properties, all of them, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
