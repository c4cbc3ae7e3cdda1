"""The prompts of one tree: which versions there are, which one a reference names, and what is wrong with them."""

from collections.abc import Iterator, Mapping
from functools import partial
from shlex import quote

from evalh.core.errors import EvalhError, NotFound, UsageError, WorkspaceError, did_you_mean
from evalh.core.ports import Tree
from evalh.core.prompt import DRAFT, PromptRef, PromptVersion, version_number
from evalh.workspace.files import label, read_text
from evalh.workspace.prompt.versions import Position, cut, parse_version

SUFFIX = ".prompt"
PIPELINE_SUFFIX = ".pipeline.yaml"


class Prompts:
    """The folder of prompts in the work tree or in a commit. `live` is what evalh.toml names, by prompt."""

    def __init__(self, tree: Tree, folder: str, live: Mapping[str, str]) -> None:
        self.tree = tree
        self.folder = folder.strip("/")
        self._live = live

    # -- what is there

    def names(self) -> tuple[str, ...]:
        """Return the names of the prompts, sorted."""
        return tuple(name for name in self._folders() if self._versions(name))

    def versions(self, name: str) -> tuple[str, ...]:
        """Return a prompt's versions in order, the draft last. Raises NotFound."""
        found = self._versions(name) if _is_plain(name) else ()
        if not found:
            have = self.names()
            hint = did_you_mean(name, have) if have else f"evalh prompt new {quote(name)}"
            raise NotFound(f"no prompt {name!r}", where=label(self.tree, self.folder), hint=hint)
        return found

    def newest(self, name: str) -> str | None:
        """Return the newest frozen version; None if there is only a draft. Raises NotFound."""
        frozen = [version for version in self.versions(name) if version != DRAFT]
        return frozen[-1] if frozen else None

    def live(self, name: str) -> str | None:
        """Return the version in use: named in evalh.toml, else the newest frozen one. Raises NotFound."""
        versions = self.versions(name)
        configured = self._live.get(name)
        if configured is not None and configured not in versions:
            raise NotFound(
                f"evalh.toml names {configured!r} as the live version of prompt {name!r}, which does not exist",
                where=label(self.tree, self._home(name)),
                hint=f"have: {', '.join(versions)}",
            )
        return configured or self.newest(name)

    def path(self, name: str, version: str) -> str:
        """Return where a version's file lies; of one that is not there, where a prompt's would."""
        pipeline = f"{self._home(name)}/{version}{PIPELINE_SUFFIX}"
        return pipeline if self.tree.exists(pipeline) else f"{self._home(name)}/{version}{SUFFIX}"

    def pipelines(self) -> list[str]:
        """Return where pipelines lie."""
        homes = [self._home(name) for name in self._folders()]
        return [f"{home}/{one}" for home in homes for one in self.tree.names(home) if one.endswith(PIPELINE_SUFFIX)]

    # -- reading

    def resolve(self, ref: PromptRef, default_name: str | None = None) -> PromptVersion:
        """Load what a reference names; without a version the draft, else the live one. Raises EvalhError."""
        name = ref.name or default_name
        if name is None:
            have = ", ".join(self.names()) or "none yet: evalh prompt new NAME"
            raise UsageError(f"{ref} does not name a prompt", hint=f"prompts: {have}")
        self.versions(name)
        return self.load(name, ref.version or self._in_use(name))

    def load(self, name: str, version: str) -> PromptVersion:
        """Load one version. Raises NotFound, WorkspaceError."""
        versions = self.versions(name)
        if version not in versions:
            raise NotFound(
                f"no version {version!r} of prompt {name!r}",
                where=label(self.tree, self._home(name)),
                hint=f"have: {', '.join(versions)}",
            )
        self._refuse_both(name, version)
        path = self.path(name, version)
        return self.parse(name, version, read_text(self.tree, path), path)

    def parse(self, name: str, version: str, text: str, path: str) -> PromptVersion:
        """Read a text as if it were this version's file, at a path that says its kind. Raises WorkspaceError."""
        place = Position(name, version, path, self.tree.revision)
        if not path.endswith(PIPELINE_SUFFIX):
            return parse_version(text, place, partial(self.partial, name))
        from evalh.workspace.prompt.pipelines import parse_pipeline  # only who has pipelines pays for it

        return parse_pipeline(text, place, self.tree, self._for_step)

    def _for_step(self, ref: PromptRef, where: str) -> PromptVersion:
        """Load the prompt that a pipeline's step names. Raises WorkspaceError."""
        assert ref.name is not None  # a step's prompt is named
        try:
            found = ref.version or self._in_use(ref.name)
            if self.path(ref.name, found).endswith(PIPELINE_SUFFIX):
                what = f"{ref.name}@{found} is a pipeline, but a step needs a single prompt"
                raise WorkspaceError(what, where=where, hint="write its steps into this pipeline")
            return self.load(ref.name, found)
        except NotFound as exc:
            hint = f"{exc.hint} · a step asks the prompt of its own name, unless it says `prompt` or `python`"
            raise WorkspaceError(exc.what, where=where, hint=hint) from None

    def _in_use(self, name: str) -> str:
        """Return the version that a name alone means: the draft if there is one, else the live one. Raises NotFound."""
        version = DRAFT if DRAFT in self.versions(name) else self.live(name)
        assert version is not None  # a prompt without a draft has a frozen version
        return version

    def _refuse_both(self, name: str, version: str) -> None:
        """Raise WorkspaceError where a version is there as a prompt and as a pipeline."""
        both = [f"{self._home(name)}/{version}{suffix}" for suffix in (SUFFIX, PIPELINE_SUFFIX)]
        if all(self.tree.exists(path) for path in both):
            raise WorkspaceError(
                f"{name}@{version} exists twice: as a prompt and as a pipeline",
                where=label(self.tree, both[1]),
                hint=f"keep one of the two; the other: {both[0]}",
            )

    def text(self, name: str, version: str) -> str:
        """Return a version's file as text. Raises WorkspaceError."""
        return read_text(self.tree, self.path(name, version))

    def partial(self, prompt: str, name: str) -> tuple[str, str]:
        """Return a partial's file and text: the prompt's own, else the one all prompts share. Raises WorkspaceError."""
        folders = (self._home(prompt), self.folder)
        for folder in folders:
            path = f"{folder}/_{name}{SUFFIX}"
            if self.tree.exists(path):
                file, text = label(self.tree, path), read_text(self.tree, path)
                if cut(text, file).front is not None:
                    raise WorkspaceError("a partial has no front matter", where=f"{file}:1")
                return file, text
        have = sorted({found for folder in folders for found in self._partials(folder)})
        raise WorkspaceError(
            f"no partial {name!r}: neither {folders[0]}/_{name}{SUFFIX} nor {folders[1]}/_{name}{SUFFIX}",
            hint=did_you_mean(name, have),
        )

    # -- checking

    def check_all(self) -> Iterator[EvalhError]:
        """Yield all that is wrong with the prompts; the first of each file."""
        for entry in self.tree.names(self.folder):
            if entry.endswith(SUFFIX) and not entry.startswith(("_", ".")):
                yield self._stray(f"{self.folder}/{entry}", f"{entry.removesuffix(SUFFIX)}/{DRAFT}{SUFFIX}")
        folders = self._folders()
        for name in folders:
            yield from self.check(name)
        for name in sorted(self._live.keys() - set(self.names())):
            yield WorkspaceError(
                f"evalh.toml names a live version of prompt {name!r}, which does not exist",
                where=label(self.tree, self.folder),
                hint=did_you_mean(name, self.names()),
            )

    def check(self, name: str) -> Iterator[EvalhError]:
        """Yield what is wrong with one prompt: files that are none of its versions, and versions that do not load."""
        home = self._home(name)
        if self._versions(name) and not _is_nameable(name):
            yield WorkspaceError(
                f"{name!r} cannot be the name of a prompt",
                where=label(self.tree, home),
                hint="rename the folder: letters, digits, . _ - /",
            )
        for entry in self.tree.names(home):
            if _version_of(entry) is None and self.tree.exists(f"{home}/{entry}") and not entry.startswith((".", "_")):
                yield self._stray(f"{home}/{entry}", None)
        for version in self._versions(name):
            try:
                loaded = self.load(name, version)
                if loaded.pipeline is not None and version != DRAFT:
                    yield from self._unpinned(loaded)
            except EvalhError as exc:
                yield exc
        if name in self._live and self._versions(name):
            try:
                self.live(name)
            except EvalhError as exc:
                yield exc

    def _unpinned(self, version: PromptVersion) -> Iterator[EvalhError]:
        from evalh.workspace.prompt.pipelines import unpinned

        return unpinned(self.text(version.name, version.version), label(self.tree, version.path))

    def _stray(self, path: str, proposal: str | None) -> WorkspaceError:
        where = f"to {self.folder}/{proposal}" if proposal else "out of the prompt's folder"
        return WorkspaceError(
            "is not a version of a prompt",
            where=label(self.tree, path),
            hint=f"files are v<number>{SUFFIX}, {DRAFT}{SUFFIX}, these with {PIPELINE_SUFFIX}, and _<partial>{SUFFIX};"
            f" move it {where}",
        )

    # -- inside

    def _home(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _versions(self, name: str) -> tuple[str, ...]:
        found = {version for entry in self.tree.names(self._home(name)) if (version := _version_of(entry)) is not None}
        return tuple(sorted(found, key=lambda version: version_number(version) or float("inf")))

    def _folders(self, below: str = "") -> list[str]:
        """Return the folders under the prompts folder, as prompt names; a name may hold slashes."""
        found: list[str] = []
        for entry in self.tree.names(f"{self.folder}/{below}"):
            name = f"{below}{entry}"
            if entry.startswith((".", "_")) or self.tree.exists(f"{self.folder}/{name}"):
                continue
            found += [name, *self._folders(f"{name}/")]
        return found

    def _partials(self, folder: str) -> list[str]:
        return [
            entry[1 : -len(SUFFIX)]
            for entry in self.tree.names(folder)
            if entry.startswith("_") and entry.endswith(SUFFIX)
        ]


def _version_of(entry: str) -> str | None:
    """Return the version that a file's name means; None for a file that is none."""
    version = entry.removesuffix(SUFFIX if entry.endswith(SUFFIX) else PIPELINE_SUFFIX)
    return version if version != entry and (version == DRAFT or version_number(version) is not None) else None


def _is_nameable(name: str) -> bool:
    try:
        return PromptRef.parse(f"{name}@{DRAFT}").name == name
    except UsageError:
        return False


def _is_plain(name: str) -> bool:
    return all(part not in ("", ".", "..") for part in name.split("/"))


def frozen_edits(base: Prompts, head: Prompts) -> list[WorkspaceError]:
    """Return the frozen versions of `base` that `head` has changed or removed."""
    edits: list[WorkspaceError] = []
    for name in base.names():
        here = set(head.versions(name)) if name in head.names() else set()
        for version in base.versions(name):
            if version == DRAFT:
                continue
            if version not in here:
                path = base.path(name, version)  # head cannot say whether it was a pipeline
                edits.append(
                    WorkspaceError(
                        f"{name}@{version} is frozen on {base.tree.revision} and was removed",
                        where=label(head.tree, path),
                        hint=f"bring it back: git checkout {base.tree.revision} -- {quote(path)}",
                    )
                )
            elif _differs(base, head, name, version):
                edits.append(
                    WorkspaceError(
                        f"{name}@{version} is frozen on {base.tree.revision} and was changed, or a partial of it was",
                        where=label(head.tree, head.path(name, version)),
                        hint=f"edit {DRAFT}{SUFFIX} instead, then: evalh prompt release {quote(name)}",
                    )
                )
    return edits


def _differs(base: Prompts, head: Prompts, name: str, version: str) -> bool:
    try:
        ours = _content(head, name, version)
    except WorkspaceError:  # such as a merge conflict: it is told where the version is read
        return False
    return _content(base, name, version) != ours


def _content(prompts: Prompts, name: str, version: str) -> str:
    """Return what must not change: the digest, or the text of a version that no longer loads. Raises WorkspaceError.

    Of a pipeline it is the text: its functions are the workspace's code, which goes on to change, and the versions
    that it pins are held for themselves.
    """
    if prompts.path(name, version).endswith(PIPELINE_SUFFIX):
        return prompts.text(name, version)
    try:
        return prompts.load(name, version).digest
    except EvalhError:
        return prompts.text(name, version)
