"""Untrusted text inside a question to a model: fenced, so that it cannot close its fence, and free of tricks.

The fence carries a number that is derived from everything inside: what was written before cannot hold it, and the same
question has the same words whenever it is asked.
"""

import json
import re
from collections.abc import Mapping
from hashlib import sha256

from evalh.core.case import ABSENT
from evalh.core.digest import canonical
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import EarlyVerdict, GradeContext, Verdict

LONGEST = 200_000
"""Characters of an output beyond which no model is shown it: half an output would be judged for the whole."""

_DIGITS = 12
# Controls but tab and line feed, lone surrogates, and characters that turn the reading direction or cannot be seen.
_TRICKS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


class TooLongError(EarlyVerdict):
    """The text is longer than a model is shown."""

    def __init__(self, what: str) -> None:
        super().__init__(Verdict.error(what))


def plain(text: str) -> str:
    """Write characters that play tricks by their code points."""
    return _TRICKS.sub(_named, text.replace("\r\n", "\n"))


def _named(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 (four hex digits)


class Fences:
    """Fences for the texts of one question."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Clean the texts and choose the number. Raises TooLongError."""
        for name, text in texts.items():
            if len(text) > LONGEST:
                raise TooLongError(f"the {name} has {len(text):,} characters; a model is shown {LONGEST:,} at most")
        self.texts = {name: plain(text) for name, text in texts.items()}  # as they are shown, without fences
        self._number = _number(self.texts)

    def around(self, name: str) -> str:
        """Return a text inside its fence."""
        tag = f"{name.replace(' ', '-')}-{self._number}"
        return f"<{tag}>\n{self.texts[name]}\n</{tag}>"


def _number(texts: Mapping[str, str]) -> str:
    salt = 0
    while True:
        number = sha256(canonical([salt, dict(texts)])).hexdigest()[:_DIGITS]
        if not any(number in text for text in texts.values()):
            return number
        salt += 1


def shown_json(value: JsonValue) -> str:
    """Return a value as a model is shown it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, default=dict)


def shown_step(output: JsonValue) -> str:
    """Return what a step gave: text as it is, JSON without blanks, so that it is no longer than the step wrote it."""
    return (
        output
        if isinstance(output, str)
        else json.dumps(output, ensure_ascii=False, separators=(",", ":"), default=dict)
    )


def shown_inputs(inputs: Mapping[str, JsonValue]) -> str:
    """Return a case's inputs: a single text as it is, several by their names."""
    if len(inputs) == 1:
        return shown_json(next(iter(inputs.values())))
    return "\n".join(f"{name}: {shown_json(value)}" for name, value in inputs.items())


def shown_request(ctx: GradeContext) -> str:
    """Return what the model was asked, role by role; the case's inputs where that is not known any more."""
    if ctx.request is None:
        return shown_inputs(ctx.inputs)
    return "\n\n".join(f"{message.role.value}:\n{message.text}" for message in ctx.request.messages)


def shown_output(ctx: GradeContext) -> str:
    """Return an output: its text, and the tools it asks for."""
    calls = [f"{call.name}({call.arguments})" for call in ctx.completion.tool_calls]
    return "\n".join([ctx.text, *(f"tool call: {call}" for call in calls)]) if calls else ctx.text


def shown_expected(ctx: GradeContext) -> str | None:
    """Return what the case expects; None: nothing."""
    return None if ctx.expected is ABSENT else shown_json(ctx.expected)
