"""What a machine has and lacks, without printing a secret."""

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from evalh.api.sides import default_base
from evalh.api.targets import no_model
from evalh.api.workspace import Workspace
from evalh.core.digest import JsonValue
from evalh.core.errors import EvalhError, NotFound
from evalh.core.model import ModelSpec
from evalh.core.route import direct
from evalh.core.values import Value
from evalh.routing.target import models_of

State = Literal["ok", "missing", "wrong"]


class Finding(Value):
    """One thing that was looked at. `wrong`: the default suite cannot be run here."""

    state: State
    subject: str
    what: str
    hint: str | None = None

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form."""
        return {"state": self.state, "subject": self.subject, "what": self.what, "hint": self.hint}


def examine(folder: str | Path) -> list[Finding]:
    """Look at the machine and the workspace round `folder`. Raises nothing: what is wrong is a finding."""
    from evalh import __version__

    findings = [Finding("ok", "evalh", f"{__version__} on Python {platform.python_version()}")]
    try:
        workspace = Workspace.open(folder)
        _ = workspace.config
    except EvalhError as exc:
        return [*findings, Finding("wrong", "workspace", _line(exc), exc.hint)]
    findings.append(Finding("ok", "workspace", str(workspace.root)))
    findings.append(_git(workspace))
    needed = _default_models(workspace, findings)
    findings.extend(_model(workspace, spec, needed=spec.name in needed) for spec in workspace.config.models.values())
    findings.append(_log(workspace))
    return findings


def _line(exc: EvalhError) -> str:
    return f"{exc.where}: {exc.what}" if exc.where else exc.what


def _git(workspace: Workspace) -> Finding:
    from evalh.workspace.git import NoRepository, probe

    found = probe(workspace.root)
    if isinstance(found, NoRepository):
        return Finding("missing", "git", found.reason, found.hint)
    try:
        commit = found.head_commit()
        base, _ = default_base(workspace)
    except EvalhError as exc:
        return Finding("wrong", "git", exc.what, exc.hint)
    finally:
        found.close()
    shallow = ", shallow" if found.is_shallow else ""
    at = f"at {commit[:10]}" if commit else "before the first commit"
    return Finding("ok", "git", f"{at}{shallow}; frozen versions are compared with {base or 'nothing: no remote'}")


def _default_models(workspace: Workspace, findings: list[Finding]) -> set[str]:
    name = workspace.config.default_suite
    if name is None:
        return set()
    try:
        suite = workspace.suite(name)
    except EvalhError as exc:
        findings.append(Finding("wrong", f"suite {name}", _line(exc), exc.hint))
        return set()
    if suite.model is None:
        return set()
    config = workspace.config
    if suite.model not in (*config.models, *config.routes):
        wrong = no_model(workspace, suite.model, suite.where_of("model"))
        findings.append(Finding("wrong", f"suite {name}", _line(wrong), wrong.hint))
        return set()
    route = config.routes.get(suite.model) or direct(suite.model)
    try:
        return set(models_of(route, config.routes, tuple(config.models)))
    except EvalhError as exc:
        findings.append(Finding("wrong", f"suite {name}", _line(exc), exc.hint))
        return set()


def _model(workspace: Workspace, spec: ModelSpec, *, needed: bool) -> Finding:
    subject = f"model {spec.name}"
    lacking: State = "wrong" if needed else "missing"
    if spec.provider == "local":
        return _local(workspace, spec, subject, lacking)
    if spec.provider in {"replay", "scripted"}:
        return Finding("ok", subject, f"{spec.provider}: needs no key")
    try:
        variables = getattr(workspace.provider(spec.name), "key_variables", ())
    except EvalhError as exc:
        return Finding(lacking, subject, _line(exc), exc.hint)
    named = f"{spec.provider} {spec.model}"
    if not variables:
        return Finding("ok", subject, f"{named}: no key is sent")
    for variable in variables:
        if workspace.env.get(variable):
            return Finding("ok", subject, f"{named}: {variable} is set")
    return Finding(lacking, subject, f"{named}: {' or '.join(variables)} is not set", f"export {variables[0]}=…")


def _local(workspace: Workspace, spec: ModelSpec, subject: str, lacking: State) -> Finding:
    from evalh.providers import weights

    if find_spec("xllamacpp") is None:
        return Finding(lacking, subject, "xllamacpp is not installed", "pip install 'evalh[local]'")
    path = spec.options.get("path")
    if isinstance(path, str):
        place = workspace.root / path
        state: State = "ok" if place.is_file() else lacking
        return Finding(state, subject, f"local {place}" if state == "ok" else f"no file {place}")
    found = weights.find(spec.model, workspace.cache_dir)
    if found is None:
        hint = f"evalh model pull {spec.model} (evalh run does it too)"
        return Finding("missing", subject, f"the weights of {spec.model} are not here yet", hint)
    return Finding("ok", subject, f"local {found}")


def _log(workspace: Workspace) -> Finding:
    try:
        runs = workspace.log.runs(limit=1)
    except NotFound as exc:
        return Finding("missing", "log", exc.what, exc.hint)
    except EvalhError as exc:
        return Finding("wrong", "log", _line(exc), exc.hint)
    newest = f"newest run {runs[0].record.id}" if runs else "no run yet"
    return Finding("ok", "log", f"{workspace.store_folder}: {newest}")
