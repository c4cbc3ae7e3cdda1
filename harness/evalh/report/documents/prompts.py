"""Documents about prompts: versions, their differences, requests."""

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType, field
from msgspec.structs import replace

from evalh.analysis.prompt_diff import Change, PromptDiff, SectionDiff, step_document
from evalh.core.case import ABSENT
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of

_SHORT = len("sha256:") + 12


class VersionRow(Value, kw_only=True):
    """One version in a list."""

    label: str = field(name="prompt")
    digest: str
    path: str
    live: bool
    git: str  # committed | modified | new | no git
    description: str | None

    @property
    def short_digest(self) -> str:
        """The digest as people read it."""
        return self.digest[:_SHORT]


class PromptsDocument(Document, tag="evalh.prompts/1", kw_only=True):
    """`evalh prompt list --json`."""

    versions: tuple[VersionRow, ...]


class ReleaseDocument(VersionRow, tag_field="schema", tag="evalh.release/1", kw_only=True):
    """`evalh prompt release --json`, `evalh prompt new --json`."""


class PromptDocument(Document, tag="evalh.prompt/1", kw_only=True):
    """`evalh prompt show --json`."""

    label: str = field(name="prompt")
    digest: str
    path: str
    description: str | None
    why: str | None
    model: str | None
    variables: tuple[str, ...]
    dialect: str
    sections: tuple[tuple[str | None, str], ...]
    params: Mapping[str, JsonValue]
    input: Mapping[str, JsonValue]
    output: Mapping[str, JsonValue]
    tools: tuple[Mapping[str, JsonValue], ...]
    steps: Mapping[str, Mapping[str, JsonValue]] | UnsetType = (
        UNSET  # of a pipeline, in the order in which they can run
    )
    output_steps: tuple[str, ...] | UnsetType = UNSET  # the first that ran gives the output


class PromptName(Value):
    """One side of a diff."""

    prompt: str
    digest: str


class ChangeDocument(Value, kw_only=True):
    """One key that differs; a side without the key is left out."""

    key: str
    base: JsonValue | UnsetType = UNSET
    head: JsonValue | UnsetType = UNSET


class PromptDiffDocument(Document, tag="evalh.prompt-diff/1", kw_only=True):
    """`evalh prompt diff --json`."""

    base: PromptName
    head: PromptName
    same_content: bool
    sections: tuple[SectionDiff, ...]
    config: tuple[ChangeDocument, ...]
    schemas: tuple[ChangeDocument, ...]
    tools: tuple[ChangeDocument, ...]
    steps: tuple[ChangeDocument, ...]
    notes: tuple[ChangeDocument, ...]


class CommitDocument(Value, kw_only=True):
    """A commit that touched a prompt's files."""

    commit: str
    date: str
    author: str
    subject: str


class PromptLogDocument(Document, tag="evalh.prompt-log/1", kw_only=True):
    """`evalh prompt log --json`."""

    commits: tuple[CommitDocument, ...]


class RequestDocument(Document, tag="evalh.request/1", kw_only=True):
    """`evalh render --json`."""

    digest: str
    settings: Mapping[str, JsonValue]
    messages: tuple[Mapping[str, JsonValue], ...]


def prompt_document(version: PromptVersion) -> PromptDocument:
    """Return the document of `evalh prompt show --json`."""
    pipeline = version.pipeline
    keys = dict(replace(version, pipeline=None).content_document())
    if pipeline is not None:
        keys |= {"steps": {one.name: step_document(one) for one in pipeline.steps}, "output_steps": pipeline.output}
    return document_of(PromptDocument, version, variables=sorted(version.variables), **keys)


def diff_document(difference: PromptDiff) -> PromptDiffDocument:
    return document_of(
        PromptDiffDocument,
        difference,
        base=PromptName(difference.base, difference.base_digest),
        head=PromptName(difference.head, difference.head_digest),
        **{part: _changes(changes) for part, changes in difference.changes.items()},
    )


def changed_document(difference: PromptDiff) -> PromptDiffDocument:
    """Return a diff without the messages that are the same on both sides."""
    return diff_document(replace(difference, sections=tuple(one for one in difference.sections if one.changed)))


def difference_of(document: PromptDiffDocument) -> PromptDiff:
    """Return the diff that a document holds."""
    parts = ("config", "schemas", "tools", "steps", "notes")
    return PromptDiff(
        base=document.base.prompt,
        head=document.head.prompt,
        base_digest=document.base.digest,
        head_digest=document.head.digest,
        sections=document.sections,
        **{part: tuple(map(_change, getattr(document, part))) for part in parts},
    )


def _change(document: ChangeDocument) -> Change:
    sides = (document.base, document.head)
    return Change(document.key, *(ABSENT if side is UNSET else side for side in sides))


def _changes(changes: Sequence[Change]) -> list[ChangeDocument]:
    return [
        ChangeDocument(
            key=change.key,
            base=UNSET if change.base is ABSENT else change.base,
            head=UNSET if change.head is ABSENT else change.head,
        )
        for change in changes
    ]


def request_document(request: Request) -> RequestDocument:
    return RequestDocument(
        digest=request.digest(),
        settings=request.settings.document(),
        messages=tuple(message.document() for message in request.messages),
    )
