"""The skill file for coding agents, and the same text as a section of AGENTS.md. What others wrote is never replaced.

Our text stands between two marks. The first holds the digest of what follows, so that an edited text is recognised.
"""

import shlex
from enum import StrEnum
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from evalh.core.errors import UsageError
from evalh.core.values import Value
from evalh.workspace.writing import new_file

SKILL, AGENTS = ".claude/skills/evalh/SKILL.md", "AGENTS.md"
_BEGIN, _CLOSE, _END = "<!-- evalh skill ", " -->\n", "<!-- end of evalh skill -->\n"
_HEAD = """---
name: evalh
description: Measure, compare and gate prompt changes with evalh. Use it before and after a prompt, a model, a dataset
  or a grader of this repository changes, and when somebody asks how good a prompt is or why a case fails.
---

"""
_LARGEST = 4 << 20  # bytes of an AGENTS.md


class SkillState(StrEnum):
    """What was done with the file."""

    WRITTEN = "written"
    UPDATED = "updated"
    CURRENT = "current"


class WrittenSkill(Value):
    """The file, relative to the repository's root."""

    path: str
    state: SkillState


def skill_text(folder: str = "") -> str:
    """Return the text for a workspace in this folder of the repository; "": its root."""
    text = (files("evalh.agents") / "SKILL.md").read_text(encoding="utf-8")
    return text.replace("$ evalh ", f"$ evalh -C {shlex.quote(folder)} ") if folder else text


def write_skill(root: Path, folder: str, *, agents: bool) -> WrittenSkill:
    """Write SKILL.md, or the section of AGENTS.md, below a repository's root.

    Raises UsageError for a SKILL.md that somebody else wrote, and for a text of ours that was edited.
    """
    name = AGENTS if agents else SKILL
    target = root / name
    ours = _marked(skill_text(folder))
    if not target.exists():
        _write(target, ours if agents else _HEAD + ours)
        return WrittenSkill(name, SkillState.WRITTEN)
    old = _read(target, name)
    text = old.replace("\r\n", "\n")
    if _BEGIN not in text and agents:
        new = f"{text.rstrip()}\n\n{ours}" if text.strip() else ours
        state = SkillState.WRITTEN
    else:
        before, after = _around(text, name)
        if not agents and (not before.startswith("---\nname: evalh\n") or after.strip()):
            raise _foreign(name)
        new = (before if agents else _HEAD) + ours + after
        state = SkillState.CURRENT if new == text else SkillState.UPDATED
    if state is not SkillState.CURRENT:
        _write(target, new.replace("\n", "\r\n") if "\r\n" in old else new)
    return WrittenSkill(name, state)


def _marked(text: str) -> str:
    return f"{_BEGIN}{_digest(text)}{_CLOSE}{text}{_END}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _around(text: str, name: str) -> tuple[str, str]:
    """Return what stands before and after our text. Raises UsageError if it is not as we wrote it."""
    before, begin, rest = text.partition(_BEGIN)
    digest, close, rest = rest.partition(_CLOSE)
    inside, end, after = rest.partition(_END)
    if not (begin and close and end) or _BEGIN in rest or _digest(inside) != digest:
        raise _foreign(name)
    return before, after


def _foreign(name: str) -> UsageError:
    hint = "move it away and run the same command again, or take what you need: evalh skill --print"
    return UsageError("this text was written or edited by someone else, and is not overwritten", where=name, hint=hint)


def _read(target: Path, name: str) -> str:
    try:
        if target.stat().st_size > _LARGEST:
            raise UsageError("is larger than 4 MB", where=name, hint="evalh skill --print")
        return target.read_bytes().decode()
    except UnicodeDecodeError:
        raise UsageError("is not UTF-8 text", where=name, hint="evalh skill --print") from None
    except OSError as exc:
        raise UsageError(f"cannot read: {exc.strerror}", where=name, hint="evalh skill --print") from None


def _write(target: Path, text: str) -> None:
    with new_file(target) as file:
        file.write(text.encode())
