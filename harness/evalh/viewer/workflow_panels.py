"""What is shown of the chosen step or call: facts, what was handed in, what came out, messages, attempts."""

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from evalh.analysis.outline import OutlineLine
from evalh.core.production import WorkflowDetail
from evalh.report.html.markup import Child, Markup, el
from evalh.report.html.parts import facts
from evalh.report.text import dollars, milliseconds, one_line, plural, show_command
from evalh_trace.records import Attempt, Call, Score, Step

_TEXT = 20_000  # characters of one text
_ALL = 8_000_000  # characters of all texts of a page; beyond it, texts are left out
_LATEST = 4  # messages that are not folded
_KEYS = 40  # values of one mapping that are shown apart
_OUTCOMES = {"fail": "bad", "pass": "good"}


class Panels(Struct):
    """Builds the panels of one workflow's page, within a size."""

    detail: WorkflowDetail
    left: int = _ALL

    def of_workflow(self, *, chosen: bool) -> Markup:
        """Show what the workflow was asked, and what it gave."""
        workflow = self.detail.workflow
        parts = [*self._error(workflow.error), *self._named("Inputs", workflow.inputs)]
        parts += self._named("Output", workflow.output)
        if workflow.inputs is None and workflow.output is None:
            parts.append(_without_content())
        parts += self._folded("Attributes", workflow.attributes or None)
        return _panel(0, chosen, "The workflow", workflow.status, workflow.id, parts)

    def of_line(self, line: OutlineLine, number: int, *, chosen: bool) -> Markup:
        """Show a step or a call."""
        if isinstance(line.item, Step):
            return self._of_step(line.item, line, number, chosen=chosen)
        return self._of_call(line.item, line, number, chosen=chosen)

    def _of_step(self, step: Step, line: OutlineLine, number: int, *, chosen: bool) -> Markup:
        took = None if line.took_s is None else milliseconds(1000 * line.took_s)
        about = {"kind": None if step.kind == "step" else step.kind, "began after": _after(line), "took": took}
        parts = [_scores(line.scores), _facts(about), *self._error(step.error)]
        parts += [*self._named("Inputs", step.inputs), *self._named("Output", step.output)]
        if step.inputs is None and step.output is None:
            parts.append(_without_content())
        parts += self._folded("Attributes", step.attributes or None)
        name = step.name if step.position is None else f"{step.position} {step.name}"
        return _panel(number, chosen, name, step.status, step.id, parts)

    def _of_call(self, call: Call, line: OutlineLine, number: int, *, chosen: bool) -> Markup:
        answer = next((one for one in line.attempts if one.id == call.answered_by), None)
        answer = answer or (line.attempts[-1] if line.attempts else None)
        parts: list[Child] = [_facts(_about_call(call, line, answer)), self._attempts(call, line.attempts)]
        parts += self._messages(call.messages)
        if answer is not None:
            if answer.reasoning:
                parts += self._folded("Reasoning", answer.reasoning)
            parts += self._named("Answer", answer.text)
            parts += self._tool_calls("Answer", answer.tool_calls)
        if call.messages is None and (answer is None or (answer.text is None and not answer.tool_calls)):
            parts.append(_without_content())
        parts += self._folded("Settings", call.settings)
        name = (call.settings or {}).get("model") or (answer.model if answer else None) or "model unknown"
        return _panel(number, chosen, f"{call.operation} {name}", answer.status if answer else None, call.id, parts)

    # -- content

    def _text(self, text: str) -> list[Child]:
        shown = text[: min(_TEXT, max(0, self.left))]
        self.left -= len(shown)
        made: list[Child] = [el("div", shown, class_="text", dir="auto")] if shown or not text else []
        if len(shown) < len(text):
            words = f"{'Only the beginning' if shown else 'Left out'}: {len(text):,} characters in all; "
            made.append(el("span", f"{words}evalh show has everything.", class_="clip"))
        return made

    def _named(self, title: str, value: object) -> list[Child]:
        """Show a value; the values of a mapping each under its name."""
        if value is None:
            return []
        if isinstance(value, dict) and 0 < len(value) <= _KEYS:
            return [
                [el("h3", f"{title}: {one_line(str(name), 60)}"), self._text(_readable(one))]
                for name, one in value.items()
            ]
        return [el("h3", title), *self._text(_readable(value))]

    def _folded(self, title: str, value: object) -> list[Child]:
        if value is None:
            return []
        return [el("details", el("summary", title), self._text(_readable(value)), class_="aloud")]

    def _error(self, error: str | None) -> list[Child]:
        return [el("h3", "Error"), *self._text(error)] if error else []

    def _messages(self, messages: object) -> list[Child]:
        if not isinstance(messages, list):
            return self._named("Messages", messages)
        shown: list[list[Child]] = [self._message(one) for one in messages]
        early = shown[:-_LATEST]
        folded = (
            el("details", el("summary", f"{plural(len(early), 'message')} before these"), early, class_="aloud")
            if early
            else None
        )
        return [folded, *shown[-_LATEST:]]

    def _message(self, message: object) -> list[Child]:
        if not isinstance(message, dict) or not isinstance(message.get("parts"), list):
            return self._named("Message", message)
        role = one_line(str(message.get("role")), 20)
        made: list[Child] = []
        for part in message["parts"]:
            if isinstance(part, dict) and len(part) == 1:
                ((kind, value),) = part.items()
                made += self._tool(role, str(kind).replace("_", " "), value)
            else:
                made += [el("h3", role), *self._text(_readable(part))]
        return made

    def _tool_calls(self, title: str, calls: object) -> list[Child]:
        if not isinstance(calls, list):
            return self._named(f"{title}: tool calls", calls)
        return [part for one in calls for part in self._tool(title, "tool call", one)]

    def _tool(self, title: str, kind: str, value: object) -> list[Child]:
        name = value.get("name") if isinstance(value, dict) else None
        told = value
        if isinstance(value, dict):
            told = next((value[key] for key in ("arguments", "content", "output", "result") if key in value), value)
        words = f"{title}: {one_line(kind, 30)}{f' {one_line(str(name), 60)}' if name else ''}"
        return [el("h3", words), *self._text(_readable(told))]

    # -- attempts

    def _attempts(self, call: Call, attempts: Sequence[Attempt]) -> list[Child]:
        unseen = "Attempts are unknown: what traced it sees the client's retries as one call."
        if len(attempts) <= 1 and all(one.status != "error" for one in attempts):
            return [el("p", unseen, class_="note")] if call.attempts is None else []
        rows = [el("li", self._attempt(one)) for one in attempts]
        note = el("p", unseen, class_="note") if call.attempts is None else None
        return [el("h3", "Attempts"), note, el("ol", rows, class_="events")]

    def _attempt(self, one: Attempt) -> list[Child]:
        status = one.status or "not ended"
        class_ = "good" if status == "ok" else "bad" if status == "error" else "ungraded"
        bits = [milliseconds(one.latency_ms)]
        if one.http_status is not None:
            bits.append(f"HTTP {one.http_status}")
        if one.input_tokens is not None:
            got = "?" if one.output_tokens is None else f"{one.output_tokens:,}"
            bits.append(f"{one.input_tokens:,} → {got} tokens")
        bits.append(dollars(one.cost_usd))
        if one.retry_after_s is not None:
            bits.append(f"told to wait {one.retry_after_s:g} s")
        told: list[Child] = [f"{one_line(one.model or 'model unknown', 60)} ", el("span", status, class_=class_)]
        told.append(" · ".join(["", *bits]))
        if one.error_kind or one.error:
            told.append(el("div", one_line(f"{one.error_kind or 'error'}: {one.error or ''}", 400), class_="bad"))
        return told


def _panel(number: int, chosen: bool, name: str, status: str | None, id_: str, parts: Sequence[Child]) -> Markup:  # noqa: FBT001
    state = None
    if status is not None:
        class_ = {"ok": "s2", "error": "s0", "interrupted": "s0"}.get(status, "s1")
        state = el("span", one_line(status, 20), class_=f"chip {class_}")
    head = el("div", el("b", one_line(name, 120) or "(no name)"), state, class_="head")
    whole = el("p", el("code", show_command(id_, 80)), class_="note")
    label = f"p{number}-name"
    return el(
        "section",
        el("h2", head, id=label),
        parts,
        whole,
        id=f"p{number}",
        hidden=not chosen,
        class_="panel",
        aria_labelledby=label,
    )


def _about_call(call: Call, line: OutlineLine, answer: Attempt | None) -> dict[str, object]:
    about: dict[str, object] = {"version": call.prompt, "provider": call.provider}
    costs = [one.cost_usd for one in line.attempts]
    about["cost"] = dollars(None if None in costs or not costs else sum(one for one in costs if one is not None))
    if answer is not None:
        sent, got = answer.input_tokens, answer.output_tokens
        known = None if sent is None and got is None else f"{_number(sent)} → {_number(got)}"
        extra = [(answer.cached_tokens, "cached"), (answer.reasoning_tokens, "for reasoning")]
        told = "".join(f", {count:,} {words}" for count, words in extra if count)
        about["tokens"] = "unknown" if known is None else f"{known}{told}"
        about["answered by"] = answer.model_answered if answer.model_answered != answer.model else None
        about["ended by"] = answer.finish if answer.finish != "stop" else None
        about["first token after"] = None if answer.ttft_ms is None else milliseconds(answer.ttft_ms)
    about["began after"] = _after(line)
    about["took"] = milliseconds(call.latency_ms)
    about["attempts"] = "unknown" if call.attempts is None else call.attempts
    return about


def _number(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _after(line: OutlineLine) -> str | None:
    return None if line.begin_s is None else milliseconds(1000 * line.begin_s)


def _facts(about: Mapping[str, object]) -> Markup | None:
    known = [(name, one_line(str(value), 120)) for name, value in about.items() if value is not None]
    return facts(known) if known else None


def _scores(scores: Sequence[Score]) -> Markup | None:
    if not scores:
        return None
    rows = [
        el(
            "tr",
            el(
                "td",
                one.outcome or ("scored" if one.score is None else f"{one.score:g}"),
                class_=_OUTCOMES.get(one.outcome or "", "ungraded"),
            ),
            el("td", one_line(one.name, 60), f" by {one_line(one.source, 40)}" if one.source else None),
            el("td", one_line(one.text, 2_000) if one.text else None, dir="auto"),
        )
        for one in scores[:50]
    ]
    return el("table", el("caption", "Scores", class_="hidden"), el("tbody", rows), class_="verdicts")


def _without_content() -> Markup:
    return el("p", "No content: recording it is off, or the program that traced it sent none.", class_="note")


def _readable(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=1)
    except RecursionError:
        return "(nested too deeply to be shown)"
