"""`javascript`: code that judges an output, in an engine that reaches no file and no network."""

import json
from collections.abc import Awaitable, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.declared import Words
from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.functions import Deadline, NoAnswerError
from evalh.graders.javascript.isolate import (
    LimitError,
    Limits,
    Result,
    ThrownError,
    call,
    judge_program,
    missing_engine,
    syntax_error,
)
from evalh.graders.javascript.sources import LONGEST, Script, body_of, gathered
from evalh.graders.kinds import Compiled, Parameters, Scope, broke, built_in
from evalh.graders.quoting import one_line
from evalh.graders.reading import output_json

_FIRST_LINE = 2  # of code in a function: the engine writes two lines before it
_REASON = 1000  # characters
_PART_REASON = 200
_MOST_PARTS = 50
_KINDS = {"string": "a text", "list": "a list", "function": "a function", "symbol": "a symbol"}
_ARGUMENTS = "output,context,process"
_MODULE = "module,exports,require,process"
_GRAMMAR = "true, false, a number, or {pass, score, reason}"

CodeStep = str | dict[str, str]
"""Code, or `{file: evals/checks.js:name}`."""


@built_in("javascript", short="code")
class JavaScript(Parameters):
    """JavaScript code returns true, false, a score or {pass, score, reason}. It sees the output and the case only."""

    code: str | None = Field(
        None, min_length=1, max_length=LONGEST, description="An expression, or the body of (output, context, process)."
    )
    file: str | None = Field(None, description="A file that exports the function: evals/checks.js, or …js:name.")
    transform: Annotated[CodeStep | tuple[CodeStep, ...], Words("code, {file: …}, or a list of them")] = Field(
        (), description="Code or files that first change the output, in this order."
    )
    parse: bool = Field(False, description="Give the code the output's JSON instead of its text.")
    config: JsonValue = Field(None, description="What the code sees as context.config.")
    threshold: float | None = Field(None, description="The lowest number that passes. Default: any number above 0.")
    throws: Literal["error", "fail"] = Field(
        "error", description="The verdict after an exception or another result: error or fail."
    )

    def compile(self, scope: Scope) -> Compiled:
        """Read the code and what it requires. Raises WorkspaceError."""
        if (problem := missing_engine()) is not None:
            raise scope.wrong(*problem)
        if (self.code is None) == (self.file is None):
            raise scope.wrong("needs code or a file, one of them", "javascript: output.length < 100")
        scripts: dict[str, Script] = {}
        steps = [self._step(scope, stated, scripts) for stated in self._stated()]
        document = {"sources": {path: one.document() for path, one in scripts.items()}, "steps": steps}
        code = _Code(document, self, self.file is not None and len(scripts) == 1)
        lane = _lane(scope.environment.deadline_s)

        def judge(ctx: GradeContext) -> Awaitable[Verdict]:
            output = output_json(ctx) if self.parse else ctx.text
            return code.verdict(lane, output, context_of(ctx, self.config))

        return Compiled(
            judge,
            runs_code=True,
            judges_by=partial(self._document, scripts) if scripts else None,
        )

    def _document(self, scripts: Mapping[str, Script]) -> JsonValue:
        """Return what a digest covers where code stands in files: the files too."""
        sources = {path: sha256(one.text.encode()).hexdigest() for path, one in scripts.items()}
        return {"params": self.model_dump(mode="json", exclude_defaults=True), "sources": dict(sorted(sources.items()))}

    def _stated(self) -> list[CodeStep]:
        first = [self.transform] if isinstance(self.transform, str | dict) else list(self.transform)
        return [*first, {"file": self.file} if self.file is not None else self.code or ""]

    def _step(self, scope: Scope, stated: CodeStep, scripts: dict[str, Script]) -> JsonValue:
        """Read one step's code. Raises WorkspaceError at the entry, or at the line of a file."""
        if isinstance(stated, str):
            body = body_of(stated)
            if (wrong := syntax_error(body, _ARGUMENTS)) is not None:
                line = "" if wrong[1] is None or "\n" not in body else f" in line {wrong[1] - _FIRST_LINE} of it"
                raise scope.wrong(f"cannot read its code: {one_line(wrong[0])}{line}")
            return {"body": body}
        if set(stated) != {"file"}:
            raise scope.wrong("has a step that is neither code nor a file", "transform: [{file: evals/clean.js}]")
        path, _, name = stated["file"].partition(":")
        found = gathered(path, scope.environment.texts.script, scope.where_of("file"))
        new = {one: script for one, script in found.items() if one not in scripts}
        for one, script in new.items():
            wrong = None if one.endswith(".json") else syntax_error(script.text, _MODULE)
            if wrong is not None:
                line = "" if wrong[1] is None else f":{wrong[1] - _FIRST_LINE}"
                raise WorkspaceError(f"the code cannot be read: {one_line(wrong[0])}", where=f"{one}{line}")
        scripts |= new
        return {"path": path, "name": name}


@cache
def _lane(deadline_s: float) -> Deadline:
    """Return the threads on which code runs: one set for all graders, since rows may bring thousands of them.

    A few functions of the engine look at no limit while they work (joining a list of a milliard holes). They are left
    behind.
    """
    return Deadline(deadline_s)


class _Code(Value):
    """Runs the code of one grader, and turns what it says into a verdict."""

    document: Mapping[str, JsonValue]
    parameters: JavaScript
    in_file: bool  # the code stands in one file, whose lines can be told

    async def verdict(self, lane: Deadline, output: JsonValue, context: JsonValue) -> Verdict:
        payload = {**self.document, "output": output, "context": context}
        try:
            result = await lane.call(partial(call, judge_program(), payload, Limits()))
        except (LimitError, NoAnswerError) as exc:
            return Verdict.error(one_line(f"the code {exc}" if isinstance(exc, LimitError) else str(exc)))
        except ImportError as exc:
            return broke(exc)
        except ThrownError as exc:
            return self._broken(f"{exc}{self._place(exc)}")
        return self._read(result)

    def _broken(self, what: str) -> Verdict:
        reason = one_line(what, _REASON)
        return Verdict.check(False, reason) if self.parameters.throws == "fail" else Verdict.error(reason)

    def _place(self, exc: ThrownError) -> str:
        steps = self.document["steps"]
        if exc.line is None or exc.line <= _FIRST_LINE or not (self.in_file or not self.document["sources"]):
            return ""
        if len(steps) > 1:
            return ""
        line = exc.line - _FIRST_LINE
        if self.in_file:
            return f" ({steps[0]['path']}:{line})"
        return f" (line {line})" if "\n" in steps[0]["body"] else ""

    def _read(self, result: Result) -> Verdict:
        value = result.value
        if result.type == "boolean":
            return Verdict.check(value, f"returned {str(value).lower()}")
        if result.type == "number":
            return self._scored(value)
        if result.type == "object" and isinstance(value, dict) and _is_grading(value):
            said = value["reason"].strip() or f"returned {'pass' if value['pass'] else 'fail'}"
            outcome = Outcome.PASS if value["pass"] else Outcome.FAIL
            return Verdict(outcome, _within(value["score"]), one_line(said, _REASON), _detail(value) or None)
        return self._broken(f"it returned {_kind(result)}, not {_GRAMMAR}")

    def _scored(self, score: float) -> Verdict:
        mark = self.parameters.threshold
        passed = score > 0 if mark is None else score >= mark
        needed = "" if mark is None else f"; at least {mark:g}"
        return Verdict(Outcome.PASS if passed else Outcome.FAIL, _within(score), f"returned {score:g}{needed}")


def _within(score: float) -> float:
    return min(1.0, max(0.0, float(score)))


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_grading(value: Mapping[str, JsonValue]) -> bool:
    named = isinstance(value.get("pass"), bool) and isinstance(value.get("reason"), str)
    return named and _is_number(value.get("score"))


def _kind(result: Result) -> str:
    if result.type != "object" or not isinstance(result.value, Mapping):
        return _KINDS.get(result.type, result.type)
    keys = ", ".join(list(result.value)[:5])
    return f"an object with {one_line(keys, 80)}" if keys else "an empty object"


def _detail(value: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what the log keeps beside the verdict: scores by name, and the parts that the code lists."""
    named, parts = value.get("namedScores"), value.get("componentResults")
    detail: dict[str, JsonValue] = {}
    if isinstance(named, Mapping):
        known = [(one_line(name, _PART_REASON), score) for name, score in named.items() if _is_number(score)]
        detail["scores"] = dict(known[:_MOST_PARTS])
    if isinstance(parts, Sequence) and not isinstance(parts, str):
        known_parts = [one for one in parts if isinstance(one, Mapping) and _is_grading(one)]
        detail["components"] = [
            {"pass": one["pass"], "score": one["score"], "reason": one_line(one["reason"], _PART_REASON)}
            for one in known_parts[:_MOST_PARTS]
        ]
    return {name: held for name, held in detail.items() if held}


def context_of(ctx: GradeContext, config: JsonValue) -> dict[str, JsonValue]:
    """Return what code sees of a case and its answer, in the places where promptfoo has it."""
    tags = dict(tag.split(":", 1) for tag in sorted(ctx.case.tags) if ":" in tag)
    usage, completion = ctx.completion.usage, ctx.completion
    latency = ctx.latency.total_ms if ctx.latency is not None else completion.latency_ms
    counts = {"prompt": usage.input_tokens, "completion": usage.output_tokens, "cached": usage.cached_tokens}
    tokens: dict[str, JsonValue] = {name: count for name, count in counts.items() if count is not None}
    if usage.input_tokens is not None and usage.output_tokens is not None:
        tokens["total"] = usage.input_tokens + usage.output_tokens
    response = {"output": ctx.text, "tokenUsage": tokens, "latencyMs": latency}
    response["cost"] = None if ctx.cost_usd is None else float(ctx.cost_usd)
    variables = dict(ctx.inputs)
    context: dict[str, JsonValue] = {
        "vars": variables,
        "test": {"vars": variables, "description": ctx.case.id, "metadata": tags},
        "prompt": _prompt_of(ctx),
        "provider": {"id": completion.model, "label": completion.model},
        "providerResponse": {name: value for name, value in response.items() if value is not None},
        "metadata": {},
    }
    if config is not None:
        context["config"] = config
    return context if ctx.expected is ABSENT else {**context, "expected": ctx.expected}


def _prompt_of(ctx: GradeContext) -> JsonValue:
    """Return what was sent: the text of the only message, or all messages."""
    if ctx.request is None:
        return None
    messages = ctx.request.messages
    if len(messages) == 1:
        return messages[0].text
    return json.dumps([{"role": one.role.value, "content": one.text} for one in messages], ensure_ascii=False)
