"""What Nunjucks itself makes of every prompt and test, compared with what evalh would send: `--verify`.

Nunjucks is the user's own: promptfoo brings it. It runs in the engine of JavaScript graders, which reaches nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.graders.javascript.isolate import LimitError, Limits, ThrownError, call, missing_engine
from evalh.interop.foreign.layout import version_text
from evalh.interop.foreign.promptfoo.prompts import ROLES
from evalh.interop.foreign.transfer import Fidelity, NewVersion, ProofSheet, Row, Subject
from evalh.workspace.prompt.bodies import BLANKS
from evalh.workspace.prompt.templates import CompiledVersion, compile_version
from evalh.workspace.prompt.versions import Position, parse_version
from evalh.workspace.yaml import parse_yaml

_BUILD = "nunjucks/browser/nunjucks.min.js"
_LARGEST = 2 * 2**20
_LIMITS = Limits(seconds=3.0, memory=256 << 20, stack=2 << 20, result=32 << 20)
_TOGETHER = 200  # prompts of one call: the engine reads Nunjucks again for each
_SHOWN = 120
_INSTALL = "npm install nunjucks, and name its folder: --nunjucks node_modules/nunjucks"
Said = list[tuple[str, str]]


class Rendering(Value):
    """One prompt with one row: how the source has it, and how evalh does."""

    raw: str
    values: Mapping[str, JsonValue]
    version: NewVersion
    row: Row
    where: str


def find_engine(named: Path, source: Path) -> Path:
    """Return the file of Nunjucks: a file, a package's folder, or what lies in node_modules above the source."""
    if (problem := missing_engine()) is not None:
        raise UsageError(f"--verify {problem[0]}", hint=problem[1])
    above = (folder / "node_modules" / _BUILD for folder in (source.resolve(), *source.resolve().parents))
    known = (named, named / "browser/nunjucks.min.js", named / "node_modules" / _BUILD, *above)
    found = next((path for path in known if path.is_file()), None)
    if found is None:
        raise UsageError("--verify needs Nunjucks, which is not here", where=str(named), hint=_INSTALL)
    if found.stat().st_size > _LARGEST:
        raise UsageError("is too large to be Nunjucks", where=str(found), hint=_INSTALL)
    return found


def verify(engine: Path, renderings: Sequence[Rendering], sheet: ProofSheet) -> None:
    """Compare each rendering, and tell those that differ with both texts. Raises UsageError."""
    program = _program(engine)
    same = 0
    for begin in range(0, len(renderings), _TOGETHER):
        some = renderings[begin : begin + _TOGETHER]
        jobs = [{"raw": one.raw, "values": dict(one.values)} for one in some]
        for rendering, theirs in zip(some, _called(program, jobs, engine), strict=True):
            ours = _ours(rendering)
            if theirs == ours:
                same += 1
                continue
            why = f"Nunjucks gives {_shown(theirs)}, evalh {_shown(ours)}"
            what = f"{rendering.row['id']} is rendered differently"
            sheet.add(Fidelity.NEAR, rendering.where, what, why, subject=Subject.PROMPT)
    if not renderings:
        return
    why = f"{same:,} of {len(renderings):,} prompts with their tests are what Nunjucks renders"
    sheet.add(Fidelity.NOTE, "--verify", "compared with Nunjucks", why, subject=Subject.PROMPT)


def _program(engine: Path) -> str:
    """Return a function that loads Nunjucks and renders a list of prompts."""
    source = engine.read_text(encoding="utf-8")
    ours = files(__package__).joinpath("oracle.js").read_text(encoding="utf-8")
    load = f"const module = {{exports: {{}}}}; const exports = module.exports; const window = {{}};\n{source}\n"
    return f"(jobs) => {{ {load}; const nunjucks = window.nunjucks ?? module.exports;\n{ours} }}"


def _called(program: str, jobs: JsonValue, engine: Path) -> Iterator[Said | str]:
    try:
        result = call(program, jobs, _LIMITS).value
    except (ThrownError, LimitError) as exc:
        raise UsageError(f"cannot be used as Nunjucks: {exc}", where=str(engine), hint=_INSTALL) from None
    for one in result:
        yield _messages(one["text"]) if "text" in one else f"an error: {one['error']}"


def _messages(text: str) -> Said:
    """Return the messages that promptfoo reads in a rendered prompt."""
    value: JsonValue = None
    with suppress(WorkspaceError, NotStrictJson):
        value = parse_yaml(text, "", foreign=True).value if text.strip().startswith("- role:") else parse(text)
    if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and "role" in one for one in value):
        said = [(ROLES.get(str(one["role"]), str(one["role"])), _content(one.get("content"))) for one in value]
        return [(role, text) for role, text in said if text]
    return [("user", text.strip(BLANKS))]


def _content(content: JsonValue) -> str:
    parts = content if isinstance(content, list) else [content]
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in parts)
    return "\n".join(str(text) for text in texts if text is not None).strip(BLANKS)


def _ours(rendering: Rendering) -> Said | str:
    try:
        compiled = _compiled(version_text(rendering.version))
        inputs = {**compiled.defaults, **rendering.row["inputs"]}
        return [(one.role.value, one.text.strip(BLANKS)) for one in compiled.render(inputs)]
    except WorkspaceError as exc:
        return f"an error: {exc.what}"


@cache
def _compiled(text: str) -> CompiledVersion:
    place = Position("prompt", "v1", "v1.prompt")
    return compile_version(parse_version(text, place, no_partial))


def no_partial(name: str) -> tuple[str, str]:
    """Refuse a partial: imported prompts have none. Raises WorkspaceError."""
    raise WorkspaceError(f"there is no partial {name!r}")


def _shown(said: Said | str) -> str:
    """Return the beginning of what was rendered; of several messages, of the last."""
    text = said if isinstance(said, str) else (said[-1][1] if said else "nothing")
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "…")
