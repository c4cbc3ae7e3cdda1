"""Who asks, where that is more than a key from the environment: a token of a program, a signature for AWS."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from evalh.core.attempt import CallError
from evalh.core.errors import KeyMissing, UsageError
from evalh.core.model import ModelSpec
from evalh.providers.auth.aws import (
    KEY_ID,
    SECRET,
    SESSION,
    SigningScope,
    credentials_of,
    credentials_read,
    scope_of,
    signed,
)
from evalh.providers.auth.options import Auth
from evalh.providers.auth.token import Granted, KeyProgram, Started, hint_of, token_of
from evalh.providers.endpoint import beside_the_key, is_key

_EXPORT = (
    'eval "$(aws configure export-credentials --format env)", or auth = {aws = "…", region = "…", '
    'command = ["aws", "configure", "export-credentials"]}'
)


class Signer(Protocol):
    """Adds what says who asks, for each attempt: a token may have run out since the last one."""

    @property
    def program(self) -> str | None:
        """The program that prints what is needed; None if the environment has it."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of the environment that it needs."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown or stored. Another tuple if there are new ones."""

    async def open(self) -> None:
        """Get what is needed before the first call. Raises KeyMissing."""

    async def close(self) -> None:
        """Stop what is still running."""

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], Granted]:
        """Return the headers to send, and what stands behind them. Raises CallError (auth); nothing was sent."""

    def taken(self, granted: Granted) -> None:
        """Note that a server accepted what was signed with this."""

    def refused(self, status: int, granted: Granted) -> bool:
        """Return whether another attempt would be signed with something newer."""


class _ByProgram:
    """What both kinds share: what is needed comes from a program, or for AWS from the environment."""

    refusing = frozenset({401})
    variables: tuple[str, ...] = ()

    def __init__(self, spec: ModelSpec, program: KeyProgram | None, argv: tuple[str, ...]) -> None:
        self._spec = spec
        self._program = program
        self._argv = argv
        self.program = argv[0] if argv else None

    @property
    def secrets(self) -> tuple[str, ...]:
        return () if self._program is None else self._program.secrets

    async def open(self) -> None:
        if self._program is not None:
            try:
                await self._program.get()
            except CallError as error:
                what = f"model {self._spec.name!r}: {error.message}"
                raise KeyMissing(what, where=self._spec.where or None, hint=hint_of(self._argv)) from None

    async def close(self) -> None:
        if self._program is not None:
            await self._program.close()

    def taken(self, granted: Granted) -> None:
        if self._program is not None:
            self._program.taken(granted)

    def refused(self, status: int, granted: Granted) -> bool:
        return self._program is not None and status in self.refusing and self._program.refused(granted)


class TokenSigner(_ByProgram):
    """Sends the token that a program prints."""

    def __init__(self, spec: ModelSpec, auth: Auth, program: KeyProgram) -> None:
        super().__init__(spec, program, auth.command)
        self._tokens = program
        self._header, self._prefix = auth.header, auth.prefix

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], Granted]:  # noqa: ARG002 (the protocol's)
        granted = await self._tokens.get()
        return {**headers, self._header: f"{self._prefix}{granted.values[0]}"}, granted


class AwsSigner(_ByProgram):
    """Signs each request for AWS."""

    refusing = frozenset({401, 403})  # AWS says 403 of credentials that have run out

    def __init__(
        self, spec: ModelSpec, auth: Auth, scope: SigningScope, program: KeyProgram | None, env: Mapping[str, str]
    ) -> None:
        super().__init__(spec, program, auth.command)
        self._scope = scope
        self._env = env
        self._own: Granted | None = None
        self.variables = () if program is not None else (KEY_ID,)

    @property
    def secrets(self) -> tuple[str, ...]:
        return super().secrets if self._own is None else self._own.values

    async def open(self) -> None:
        if self._program is None:
            self._own = self._of_environment()
        await super().open()

    def _of_environment(self) -> Granted:
        """Read the credentials of the environment. Raises UsageError that names a variable, never its value."""
        where = self._spec.where or None
        found = credentials_of(self._env)
        if found is None:
            lacking = next(name for name in (KEY_ID, SECRET) if not self._env.get(name, "").strip())
            what = f"model {self._spec.name!r} signs its requests for AWS, and {lacking} is not set"
            raise KeyMissing(what, where=where, hint=_EXPORT)
        for name, value in zip((KEY_ID, SECRET, SESSION), found.values, strict=False):
            if not is_key(value):
                what = f"model {self._spec.name!r}: {name} has {beside_the_key(value)}"
                raise UsageError(what, where=where, hint=f"set {name} to the value alone, on one line")
        return found

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], Granted]:
        granted = self._own if self._program is None else await self._program.get()
        assert granted is not None
        return {**headers, **signed(url, headers, body, granted, self._scope, at=datetime.now(tz=UTC))}, granted


def signer_of(spec: ModelSpec, url: str, env: Mapping[str, str], root: Path | None) -> Signer | None:
    """Return what signs a model's requests; None where a key alone is sent, or none. Raises WorkspaceError."""
    auth = Auth.of(spec.auth)
    if auth.kind == "command":
        return TokenSigner(spec, auth, KeyProgram(Started(auth.command, env, root), token_of, ttl_s=auth.ttl_s))
    if auth.kind != "aws":
        return None
    host = urlsplit(url).hostname or ""
    scope = scope_of(host) if auth.service is None or auth.region is None else SigningScope(auth.service, auth.region)
    if scope is None:
        what = f"{host} does not say for which service and region of AWS its requests are signed"
        raise spec.wrong(what, 'auth = {aws = "bedrock", region = "us-east-1"}')
    program = KeyProgram(Started(auth.command, env, root), credentials_read, ttl_s=auth.ttl_s) if auth.command else None
    return AwsSigner(spec, auth, scope, program, env)
