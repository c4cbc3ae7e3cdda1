"""What differs between two prompts, in the Markdown of a comment: the words of the messages, then the settings.

Both prompts are strangers' text. Inside `pre` GitHub and GitLab mention nobody and link nowhere.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from evalh.analysis.prompt_diff import Change, Edit, MessageBlock, Op, PromptDiff, SectionDiff
from evalh.core.case import ABSENT
from evalh.report.text import inert, json_line, one_line, plural

_AROUND = 2  # lines that stay on both sides of a change
_MOST = 12_000  # characters of one message
_VALUE = 300
_SETTINGS = 40  # of them are listed: what a stranger changed may not crowd out the cases below it
_MOST_HTML = 16_000  # bytes of the whole block
_TAGS = {Op.DELETE: "del", Op.INSERT: "ins"}
_WORD = re.compile(r"\w+")
_Line = list[Edit]


def diff_markdown(difference: PromptDiff) -> str:
    """Return a folded block: its heading counts the words, its body shows them in their lines."""
    messages = [one for one in difference.sections if one.changed]
    settings = [line for part, changes in difference.changes.items() for line in _settings(part, changes)]
    counted = [*_counted(messages), *([plural(len(settings), "setting") + " changed"] if settings else [])]
    parts = [f"<p><b>{escape(inert(one.title))}</b></p>\n<pre>{_part(one)}</pre>\n" for one in difference.parts]
    if settings:
        left = len(settings) - _SETTINGS
        more = [f"… and {plural(left, 'more setting')}"] if left > 0 else []
        parts.append("<pre>{}</pre>\n".format("\n".join([*settings[:_SETTINGS], *more])))
    body = _bounded(parts)
    heading = f"What differs between the prompts: {', '.join(counted) or 'nothing that is sent'}"
    return f"\n<details><summary>{heading}</summary>\n{body}</details>\n"


def _bounded(parts: Sequence[str]) -> str:
    """Join the parts that have room."""
    body = ""
    for part in parts:
        if len((body + part).encode()) > _MOST_HTML:
            return f"{body}<p>… the rest is in evalh gate --json</p>\n"
        body += part
    return body


def _counted(messages: Sequence[SectionDiff]) -> Iterator[str]:
    for op, said in ((Op.DELETE, "removed"), (Op.INSERT, "added")):
        texts = (edit.text for one in messages for edit in one.edits if edit.op is op)
        if count := sum(len(_WORD.findall(text)) for text in texts):
            yield f"{plural(count, 'word')} {said}"


def _part(one: SectionDiff | MessageBlock) -> str:
    if isinstance(one, SectionDiff):
        return _shown(one)
    # The title says that all of it came or went; who says what is left.
    lines = (f"{part.head_role or part.base_role}  {_plain(part)}" for part in one.sections)
    text = escape(inert("\n".join(lines)), quote=False)
    return text if len(text) <= _MOST else f"{text[:_MOST].rpartition(chr(10))[0]}\n… the rest is in evalh gate --json"


def _plain(one: SectionDiff) -> str:
    return "".join(edit.text for edit in one.edits)


def _shown(one: SectionDiff) -> str:
    """Return the lines that changed with those around them; what is left out is `…`."""
    lines = [*_lines(one.edits)]
    changed = [number for number, line in enumerate(lines) if any(edit.op is not Op.EQUAL for edit in line)]
    near = {number + step for number in changed for step in range(-_AROUND, _AROUND + 1)}
    text, left = "", _MOST
    for kept, group in groupby(enumerate(lines), key=lambda item: item[0] in near):
        if not kept:
            text += "…\n"
            continue
        for _, line in group:
            left -= sum(len(edit.text) for edit in line)
            if left < 0:
                return f"{text}… the rest is in evalh gate --json"
            text += "".join(map(_edit, line)) + "\n"
    return text.rstrip("\n")


def _lines(edits: Sequence[Edit]) -> Iterator[_Line]:
    line: _Line = []
    for edit in edits:
        first, *rest = edit.text.split("\n")
        line.append(Edit(edit.op, first))
        for text in rest:
            yield line
            line = [Edit(edit.op, text)]
    yield line


def _edit(edit: Edit) -> str:
    text, tag = escape(inert(edit.text), quote=False), _TAGS.get(edit.op)
    return f"<{tag}>{text}</{tag}>" if tag and text else text


def _settings(part: str, changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        sides = (
            "absent" if side is ABSENT else one_line(json_line(side), _VALUE) for side in (change.base, change.head)
        )
        yield escape(f"{part} {one_line(change.key, _VALUE)}: {' → '.join(sides)}", quote=False)
