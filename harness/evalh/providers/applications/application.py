"""What every application has in common, however it is reached.

A model's answer depends on the request, an application's on its code too, which no request shows. So the digest of a
request holds the `revision` that the user states. Where none is stated it holds a mark that no later run has: the
answers stay in the log, and nobody finds them again.
"""

import subprocess
from collections.abc import Iterable, Mapping
from hashlib import sha256
from secrets import token_hex
from typing import Annotated, Any

from pydantic import Field, field_validator

from evalh.core.attempt import Call, CallError, Completion, Usage
from evalh.core.declared import FileModel, Refused, Text, Words
from evalh.core.digest import digest, digest_bytes
from evalh.core.errors import UsageError
from evalh.core.located import Path
from evalh.core.model import ModelSpec
from evalh.core.request import Request
from evalh.core.strict_json import JsonValue
from evalh.providers.applications.answers import AnswerPath, AnswerReader, ErrorTable, UsageTable
from evalh.providers.endpoint import CostPlace
from evalh.providers.http.errors import Redactor
from evalh.providers.prices import Bill
from evalh.providers.registry import ProviderContext, SpecifiedProvider
from evalh.providers.request_parts import unsupported

GIT = "git"
_GIT_S = 20.0
_NOT_ANSWERS = frozenset({"usage", "revision", "slots", "headers_env", "env_allow", "files"})
"""Options that change no answer: they are not part of the identity."""

_PASSED_OVER = frozenset({".git", "__pycache__"})


class ApplicationOptions(FileModel):
    """The keys of an application, however it is reached."""

    output: AnswerPath | None = Field(
        None, description='The place of the output in the JSON answer; "$": all of it. Default: the whole text.'
    )
    usage: UsageTable = Field(
        default_factory=UsageTable.model_construct, description="Where an answer says how many tokens it took."
    )
    cost_from: CostPlace | None = Field(None, description="The place in an answer that states its cost, in USD.")
    error_if: tuple[ErrorTable, ...] = Field((), description="Answers that are errors.")
    revision: Annotated[str, Field(pattern=r"\S"), Words(hint='revision = "git", or a text')] | None = Field(
        None,
        description='The code that answers: a text, or "git" for the files of HEAD. Without it, none is reused.',
    )
    slots: Annotated[int, Field(ge=1, le=1000), Words(hint="slots = 4")] | None = Field(
        None, description="Calls at the same time. Default: as the route says."
    )


class CodeOptions(ApplicationOptions):
    """The keys of an application whose files lie in the workspace."""

    files: tuple[Annotated[Text, Words("a glob inside the workspace, with /", 'files = ["app/**/*.py"]')], ...] = Field(
        (), description="The application's files, as globs. After a change, cases are asked again and a gate runs."
    )

    @field_validator("files")
    @classmethod
    def _are_inside(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        for number, pattern in enumerate(files):
            refuse_outside(pattern, (number,))
        return files


def refuse_outside(path: str, at: Path = ()) -> None:
    """Raise Refused for a place that is not inside the workspace."""
    if path.startswith(("/", "~")) or ".." in path.split("/") or "\\" in path or "\0" in path:
        raise Refused(f"{path!r} is not inside the workspace", "a path from its root, with /", at=at)


class Application(SpecifiedProvider):
    """What answers is code. A subclass says how it is asked."""

    def __init__(self, spec: ModelSpec, options: ApplicationOptions, context: ProviderContext) -> None:
        """Ask nothing yet. Raises WorkspaceError for a revision that cannot be found out."""
        super().__init__(spec)
        own = {key: value for key, value in spec.options.items() if key not in _NOT_ANSWERS}
        self.identity: Mapping[str, JsonValue] = {"provider": self.kind, **own}
        self.reads_inputs = True  # an application may be handed the case's inputs, so the request's digest covers them
        self.max_in_flight = options.slots
        self.reader = AnswerReader(options.output, options.usage, options.error_if)
        self.redact = Redactor(())
        self._bill = Bill(spec.cost_from)
        self._revision = options.revision
        self._context = context
        self.passing = self._passing()

    def _passing(self) -> Mapping[str, JsonValue]:
        """Return what holds as long as the code: the stated revision, or a mark of this one use."""
        revision = self._revision
        if revision == GIT:
            revision = _tree_of_head(self.spec, self._context)
        return {"revision": revision} if revision else {"asked_once": token_hex(8)}

    def made_of(self, stated: Iterable[str], usual: Iterable[str] = ()) -> None:
        """Make files part of the identity: what is `stated` must be there. Raises WorkspaceError."""
        root, found = self._context.root.absolute(), dict[str, JsonValue]()
        missing = set(stated)
        try:
            for pattern in (*stated, *usual):
                for path in root.glob(pattern):
                    if path.is_file() and not _PASSED_OVER.intersection(path.parts):
                        found[path.relative_to(root).as_posix()] = digest_bytes(path.read_bytes())
                        missing.discard(pattern)
        except OSError as exc:
            raise self.spec.wrong(f"{exc.filename} cannot be read: {exc.strerror}") from None
        if missing:
            raise self.spec.wrong(f"no file {min(missing)!r}", 'files = ["app/**/*.py"]')
        if found:
            self.identity = {**self.identity, "made_of": digest(found)}

    async def close(self) -> None:
        """End. The same process may be asked for another run, which is another use."""
        self.passing = self._passing()

    async def send(self, request: Request, call: Call) -> Completion:
        """Ask once. Raises CallError; whatever it carries is free of secrets, and names the trace."""
        if request.settings.tools:
            raise unsupported("an application", "tools: it has its own")
        try:
            return await self.ask(request, call)
        except CallError as error:
            error.request_id = error.request_id or trace_of(call)
            raise self.redact.error(error) from None

    async def ask(self, request: Request, call: Call) -> Completion:
        """Ask once. Raises CallError."""
        raise NotImplementedError

    def completion(self, call: Call, text: str, usage: Usage, **more: Any) -> Completion:
        """Return an answer without secrets, under the id of its trace."""
        return Completion(
            text=self.redact.text(text), usage=usage, model=self.model, **{"request_id": trace_of(call), **more}
        )

    def read(self, body: bytes, call: Call, latency_ms: float, **more: Any) -> Completion:
        """Read a whole answer. Raises CallError."""
        body = self.redact.body(body)
        told = self.reader.read(body)
        more.setdefault("cost_usd", self._bill.of_body(body))
        raw = None if self.redact.hides(body) else body.decode("utf-8", "replace")
        return self.completion(call, told.text, told.usage, latency_ms=latency_ms, raw=raw, **more)


def trace_of(call: Call) -> str:
    """Return the id of a call's trace: by digest, so that the same call is the same trace on any machine."""
    return sha256(f"trace {call.id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def traceparent(call: Call) -> str:
    """Return W3C's `traceparent` of the attempt that is being made: the application's spans become its children."""
    attempt = f"span {call.id}.{call.attempts}".encode("utf-8", "surrogatepass")
    return f"00-{trace_of(call)}-{sha256(attempt).hexdigest()[:16]}-01"


def _tree_of_head(spec: ModelSpec, context: ProviderContext) -> str | None:
    """Return the id of HEAD's files; None: other files may answer. Raises WorkspaceError."""
    if context.tree.revision is not None:
        return None  # the files of a revision are laid out in a folder of ours, whose HEAD says nothing of them
    try:
        tree = _git(context, "rev-parse", "HEAD^{tree}")
        changes = _git(context, "status", "--porcelain")
    except FileNotFoundError:
        raise spec.wrong('revision = "git", and git is not installed', 'revision = "v1"') from None
    except (subprocess.SubprocessError, UnicodeDecodeError):
        hint = 'commit once, or state it yourself: revision = "v1"'
        raise spec.wrong('revision = "git", and git knows no HEAD in the workspace', hint) from None
    except OSError as exc:
        raise UsageError(f"git cannot be run: {exc.strerror}", where=spec.where or None) from None
    return None if changes else tree  # what is not committed answers too


def _git(context: ProviderContext, *arguments: str) -> str:
    command = ["git", "-C", str(context.root), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, timeout=_GIT_S, env=dict(context.env))  # noqa: S603 (our own words)
    return done.stdout.decode().strip()
