"""What a machine has and lacks, without printing a secret."""

import platform
import shutil
from pathlib import Path
from typing import Literal

from evalh.api.parts import Parts
from evalh.api.sides import base_of_frozen
from evalh.core.errors import EvalhError, NotFound
from evalh.core.model import ModelSpec
from evalh.core.ports import Provider
from evalh.core.route import direct
from evalh.core.values import Value
from evalh.core.version import __version__
from evalh.providers.registry import health_of, traits_of
from evalh.routing.target import models_of

State = Literal["ok", "missing", "wrong"]


class Symptom(Value):
    """One thing that was looked at. `wrong`: the default suite cannot be run here."""

    state: State
    subject: str
    what: str
    hint: str | None = None


def examine(folder: str | Path) -> list[Symptom]:
    """Check the machine and the workspace around `folder`. Raises nothing: problems are findings."""
    findings = [Symptom("ok", "evalh", f"{__version__} on Python {platform.python_version()}")]
    try:
        parts = Parts.open(folder)
        _ = parts.config
    except EvalhError as exc:
        return [*findings, Symptom("wrong", "workspace", _line(exc), exc.hint)]
    findings.append(Symptom("ok", "workspace", str(parts.root)))
    findings.append(_git(parts))
    needed = _default_models(parts, findings)
    findings.extend(_model(parts, spec, needed=spec.name in needed) for spec in parts.config.models.values())
    findings.append(_log(parts))
    return findings


def _line(exc: EvalhError) -> str:
    return f"{exc.where}: {exc.what}" if exc.where else exc.what


def _git(parts: Parts) -> Symptom:
    from evalh.workspace.git import NoRepository, probe

    found = probe(parts.root)
    if isinstance(found, NoRepository):
        return Symptom("missing", "git", found.reason, found.hint)
    try:
        commit = found.head_commit()
        base, _ = base_of_frozen(parts)
    except EvalhError as exc:
        return Symptom("wrong", "git", exc.what, exc.hint)
    finally:
        found.close()
    shallow = ", shallow" if found.is_shallow else ""
    at = f"at {commit[:10]}" if commit else "before the first commit"
    return Symptom("ok", "git", f"{at}{shallow}; frozen versions are compared with {base or 'nothing'}")


def _default_models(parts: Parts, findings: list[Symptom]) -> set[str]:
    name = parts.config.default_suite
    if name is None:
        return set()
    try:
        suite = parts.suite(name)
    except EvalhError as exc:
        findings.append(Symptom("wrong", f"suite {name}", _line(exc), exc.hint))
        return set()
    if suite.model is None:
        return set()
    config = parts.config
    if suite.model not in (*config.models, *config.routes):
        wrong = parts.targets.no_model(suite.model, suite.where_of("model"))
        findings.append(Symptom("wrong", f"suite {name}", _line(wrong), wrong.hint))
        return set()
    route = config.routes.get(suite.model) or direct(suite.model)
    try:
        return set(models_of(route, config.routes, tuple(config.models)))
    except EvalhError as exc:
        findings.append(Symptom("wrong", f"suite {name}", _line(exc), exc.hint))
        return set()


def _model(parts: Parts, spec: ModelSpec, *, needed: bool) -> Symptom:
    subject = f"model {spec.name}"
    lacking: State = "wrong" if needed else "missing"
    found = health_of(spec, parts.root, parts.cache_dir)
    if found is not None:
        return Symptom(lacking if found.state == "lacking" else found.state, subject, found.what, found.hint)
    if not traits_of(spec.provider).hosted:
        return Symptom("ok", subject, f"{spec.provider}: needs no key")
    try:
        provider = parts.provider(spec.name)
    except EvalhError as exc:
        return Symptom(lacking, subject, _line(exc), exc.hint)
    return _key(parts, provider, Symptom(lacking, subject, f"{spec.provider} {spec.model}"))


def _key(parts: Parts, provider: Provider, lacking: Symptom) -> Symptom:
    """Say where a hosted model's key comes from; `lacking` becomes the finding if it cannot."""
    subject, named = lacking.subject, lacking.what
    program, variables = getattr(provider, "key_program", None), getattr(provider, "key_variables", ())
    if program is not None:
        found = shutil.which(program, path=parts.env.get("PATH")) or (parts.root / program).is_file()
        what = f"{named}: its key comes from {program!r}"
        return (
            Symptom("ok", subject, what) if found else Symptom(lacking.state, subject, f"{what}, which does not exist")
        )
    if not variables:
        return Symptom("ok", subject, f"{named}: no key is sent")
    for variable in variables:
        if parts.env.get(variable):
            return Symptom("ok", subject, f"{named}: {variable} is set")
    hint = f"export {variables[0]}=…"
    return Symptom(lacking.state, subject, f"{named}: {' or '.join(variables)} is not set", hint)


def _log(parts: Parts) -> Symptom:
    try:
        runs = parts.log.runs(limit=1)
    except NotFound as exc:
        return Symptom("missing", "log", exc.what, exc.hint)
    except EvalhError as exc:
        return Symptom("wrong", "log", _line(exc), exc.hint)
    newest = f"newest run {runs[0].record.id}" if runs else "no runs yet"
    return Symptom("ok", "log", f"{parts.store_folder}: {newest}")
