"""`auth` of a model in evalh.toml: how its requests say who asks."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from evalh.core.declared import FileModel, Refused, Words
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

BEARER = "Bearer "
_AUTHORIZATION = "Authorization"
_TAKEN = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_NAME = r"^[a-z0-9-]+$"
_COMMAND = 'auth = {command = ["gcloud", "auth", "print-access-token"]}'
_AWS = 'auth = {aws = "bedrock", region = "us-east-1"}'
_HEADER_NAME = Words("the name of a header", 'auth = {command = [...], header = "X-Token"}')
_FORMS = 'auth = "bearer", "header:api-key", "aws" or "none", or a table with `command`'

_Argv: TypeAlias = Annotated[
    tuple[str, ...], Field(min_length=1), Words("a list: the program and its arguments", _COMMAND)
]


class AuthTable(FileModel):
    """`auth` as a table: a program that prints a token, or a signature for AWS."""

    command: _Argv | None = Field(
        None, description="A program and its arguments. It prints a token; with `aws`, credentials as JSON. No shell."
    )
    ttl_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="How many seconds a token lasts, if the program does not say. Default: 900."
    )
    header: Annotated[str, Field(pattern=rf"^{_HEADER}$"), _HEADER_NAME] | None = Field(
        None, description="The header of the token. Default: `Authorization: Bearer …`."
    )
    aws: Annotated[str, Field(pattern=_NAME), Words("the service that requests are signed for", _AWS)] | None = Field(
        None, description="Sign requests for this service of AWS: `bedrock`, `bedrock-mantle`."
    )
    region: Annotated[str, Field(pattern=_NAME), Words("a region of AWS", _AWS)] | None = Field(
        None, description="The region of `aws`."
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if self.aws is None and self.command is None:
            raise Refused("'auth' needs 'command' or 'aws'", _COMMAND)
        if self.command is not None and not self.command[0].strip():
            raise Refused("'command' must begin with the name of a program", _COMMAND, at=("command",))
        if self.aws is None and self.region is not None:
            raise Refused("'region' belongs to 'aws'", _AWS, at=("region",))
        if self.aws is not None and self.region is None:
            raise Refused("'aws' needs the 'region'", _AWS)
        if self.command is None and self.ttl_s is not None:
            raise Refused("'ttl_s' belongs to 'command'", _COMMAND, at=("ttl_s",))
        if self.header is not None:
            if self.aws is not None:
                raise Refused("'header' belongs to a token, not to a signature", "leave it out", at=("header",))
            _refuse_taken(self.header)
        return self


def _refuse_taken(header: str) -> None:
    if header.lower() in _TAKEN:
        raise Refused(f"the key cannot be sent as {header!r}: evalh sets it", 'auth = "header:api-key"')


AuthWord: TypeAlias = Annotated[
    str, Field(pattern=rf"^(bearer|aws|none|header:{_HEADER})$"), Words("bearer, aws, none or header:NAME", _FORMS)
]


class Auth(Value, kw_only=True):
    """How a model's requests say who asks, as evalh.toml states it."""

    kind: Literal["home", "key", "none", "command", "aws"] = "home"  # home: a key, as the provider's own API takes it
    header: str = _AUTHORIZATION
    prefix: str = BEARER
    command: tuple[str, ...] = ()
    ttl_s: float | None = None
    service: str | None = None  # None: the host says it
    region: str | None = None

    @classmethod
    def of(cls, stated: JsonValue) -> "Auth":
        """Read what was checked when the file was read."""
        match stated:
            case None:
                return cls()
            case "bearer":
                return cls(kind="key")
            case "none" | "aws":
                return cls(kind=stated)
            case str():
                return cls(kind="key", header=stated.partition(":")[2], prefix="")
        table = AuthTable.model_validate(stated)
        placed = {} if table.header is None else {"header": table.header, "prefix": ""}
        return cls(
            kind="command" if table.aws is None else "aws",
            command=table.command or (),
            ttl_s=table.ttl_s,
            service=table.aws,
            region=table.region,
            **placed,
        )


def refuse_header(stated: object) -> None:
    """Raise Refused for `header:NAME` with a header that evalh sets itself."""
    if isinstance(stated, str) and stated.startswith("header:"):
        _refuse_taken(stated.partition(":")[2])
