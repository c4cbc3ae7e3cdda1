"""Which versions of the workspace's prompts a call of production fits, whatever program sent it; in git's history too.

A call belongs to a version when the fixed texts of its template stand in its messages, in order. Where two versions
have the same texts, both are named.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from evalh.api.parts import Parts
from evalh.core.digest import digest
from evalh.core.errors import EvalhError
from evalh.core.production import said
from evalh.core.prompt import DRAFT, PromptVersion
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.store.production import ProductionWriter
from evalh.workspace.prompt.matching import Said, has_fixed_text, read_back, readable
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import CompiledVersion

_MOST_COMMITS = 100  # of each prompt's draft


class Readable(Value):
    """A version and its template; None where messages cannot be read back through it."""

    version: PromptVersion
    label: str
    compiled: CompiledVersion | None

    def inputs_of(self, messages: Sequence[Said]) -> dict[str, JsonValue] | None:
        """Return the inputs with which it renders these messages; None if it does not, or would render any."""
        if self.compiled is None or not has_fixed_text(self.compiled):
            return None
        return read_back(self.compiled, self.version.input_schema, messages)


def versions_of(prompts: Prompts, name: str) -> list[Readable]:
    """Return a prompt's versions, the live one first, then the newest. Raises EvalhError."""
    names, live = prompts.versions(name), prompts.live(name)
    order = sorted(names, key=lambda one: (one != live, -names.index(one)))
    loaded = [prompts.load(name, one) for one in order]
    return [Readable(one, one.label, readable(one)) for one in loaded]


def fit(parts: Parts, production: ProductionWriter) -> None:
    """Write beside each call which versions it fits. All are looked at again where the versions have changed."""
    known = list(_every_version(parts))
    if not known:
        return
    production.forget_fits(digest([[one.label, one.version.digest] for one in known]))
    while calls := production.without_fits():
        production.set_fits(
            (call, [one.label for one in known if one.inputs_of(texts) is not None])
            for call, texts in ((call, said(messages)) for call, messages in calls)
        )


def _every_version(parts: Parts) -> Iterator[Readable]:
    """Yield the versions of the work tree, then drafts as commits held them; equal contents once."""
    prompts = parts.prompts()
    for name in prompts.names():
        seen = set()
        with suppress(EvalhError):  # a prompt that cannot be read fits nothing; `evalh check` says why
            for one in versions_of(prompts, name):
                seen.add(one.version.digest)
                yield one
        for one in _earlier_drafts(parts, name):
            if one.version.digest not in seen:
                seen.add(one.version.digest)
                yield one


def _earlier_drafts(parts: Parts, name: str) -> Iterator[Readable]:
    repository = parts.repository
    if repository is None:
        return
    with suppress(EvalhError):
        for entry in repository.log(parts.prompts().path(name, DRAFT), limit=_MOST_COMMITS):
            with suppress(EvalhError):
                version = parts.prompts(entry.commit).load(name, DRAFT)
                yield Readable(version, f"{entry.commit[:10]}:{version.name}@{version.version}", readable(version))
