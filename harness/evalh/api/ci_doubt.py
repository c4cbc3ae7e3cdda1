"""What becomes of a doubt: `gate: {doubt: …}`, written into the suites that do not say it."""

from enum import StrEnum
from typing import TYPE_CHECKING

from evalh.core.errors import EvalhError
from evalh.core.policy import Doubt
from evalh.core.values import Value
from evalh.workspace.suites import suite_path
from evalh.workspace.writing import new_file
from evalh.workspace.yaml import parse_yaml

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


class Said(StrEnum):
    """How a suite stands after it was told what becomes of a doubt."""

    WRITTEN = "written"
    ALREADY = "already"  # it says so, or that is the default
    OTHERWISE = "otherwise"  # its own word stays
    BY_HAND = "by_hand"  # the file is written in a way that is not edited here


class SuiteDoubt(Value):
    """One suite's file, and how it stands."""

    path: str
    said: Said
    now: str | None = None  # where the suite says otherwise: what


def say_doubt(workspace: "Workspace", doubt: Doubt) -> tuple[SuiteDoubt, ...]:
    """Write what becomes of a doubt into every suite that does not say it. Raises EvalhError where it cannot write."""
    return tuple(_say(workspace, suite_path(workspace.config, name), doubt) for name in workspace.suites())


def _say(workspace: "Workspace", path: str, doubt: Doubt) -> SuiteDoubt:
    try:
        data = workspace.tree.read(path)
        text = data.decode()
        policy = _policy(text, path)
    except (EvalhError, UnicodeDecodeError):  # `evalh check` says what is wrong with it
        return SuiteDoubt(path, Said.BY_HAND)
    if "doubt" in policy or doubt is Doubt.ACCEPT:
        now = str(policy.get("doubt", Doubt.ACCEPT))
        return SuiteDoubt(path, Said.ALREADY) if now == doubt else SuiteDoubt(path, Said.OTHERWISE, now)
    new = with_doubt(text, path, doubt)
    if new is None:
        return SuiteDoubt(path, Said.BY_HAND)
    with new_file(workspace.root / path) as file:
        file.write(new.encode())
    return SuiteDoubt(path, Said.WRITTEN)


def with_doubt(text: str, path: str, doubt: Doubt) -> str | None:
    """Return a suite's text with one line or one key more; None where that would change anything else in it."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    place = next((number for number, line in enumerate(lines) if line.startswith("gate:")), None)
    if place is None:
        closed = text if text.endswith(("\n", "\r")) else text + end
        new = f"{closed}gate:{end}  doubt: {doubt}{end}"
    else:
        head, brace, rest = lines[place].partition("{")
        if brace and head.strip() == "gate:":
            comma = "" if rest.lstrip().startswith("}") else ", "
            lines[place] = f"{head}{{doubt: {doubt}{comma}{rest}"
        else:
            below = (line for line in lines[place + 1 :] if line.strip() and not line.lstrip().startswith("#"))
            first = next(below, "")
            indent = first[: len(first) - len(first.lstrip())] or "  "
            lines[place] = lines[place] if lines[place].endswith(("\n", "\r")) else lines[place] + end
            lines.insert(place + 1, f"{indent}doubt: {doubt}{end}")
        new = "".join(lines)
    return new if _adds_only(text, new, path, doubt) else None


def _adds_only(text: str, new: str, path: str, doubt: Doubt) -> bool:
    """Whether the new text says what the old one says, and what becomes of a doubt."""
    try:
        old, now = parse_yaml(text, path).value, parse_yaml(new, path).value
    except EvalhError:
        return False
    return isinstance(old, dict) and now == {**old, "gate": {**(old.get("gate") or {}), "doubt": str(doubt)}}


def _policy(text: str, path: str) -> dict[str, object]:
    suite = parse_yaml(text, path).value
    policy = suite.get("gate") if isinstance(suite, dict) else None
    return policy if isinstance(policy, dict) else {}
