"""Where a hosted model is reached, with which key, and what of that may be known."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from pydantic import ConfigDict, Field, field_validator

from evalh.core.declared import FileModel, Refused, Words
from evalh.core.errors import KeyMissing, UsageError
from evalh.core.model import ModelSpec
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.providers.auth.options import Auth, AuthTable, AuthWord, refuse_header
from evalh.providers.http.egress import is_loopback

_SECRET_WORDS = frozenset(
    (
        *("auth", "authorization", "authentication", "bearer", "jwt", "session", "cookie", "key", "apikey", "token"),
        *("secret", "secrets", "pass", "passwd", "password", "pwd", "sig", "signature", "credential", "credentials"),
    )
)
_FRAMING = frozenset(("content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "te"))
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE_NAME = Words("the name of an environment variable, never a key", 'api_key_env = "OPENAI_API_KEY"')
_PLACE = Words(
    "a path into the answer's body, or a header of the answer",
    'cost_from = "usage.cost", or cost_from = "header:x-litellm-response-cost"',
)
_LISTED = Words("a provider and a model of the price table", 'price_as = "openai/gpt-5-mini"')
_UNFILLED = re.compile(r"[${}<>]|%[A-Za-z_]{3,}%")
_URL = 'base_url = "http://localhost:8000/v1"'
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]*[ \t]+\S")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_KEY = re.compile(r"(?![\"'`]|\$\{|\{\{|\$[A-Za-z_])[!-~]+(?<![\"'`])")
CostPlace: TypeAlias = Annotated[
    str, Field(pattern=rf"^(header:{_TOKEN.pattern}|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$"), _PLACE
]


class HostedOptions(FileModel):
    """The keys of any model behind HTTP. Each provider's own options add what its API knows."""

    ends_in: ClassVar[re.Pattern[str] | None] = None  # of a copied address, what the provider adds itself

    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), _VARIABLE_NAME] | None = Field(
        None, description="The environment variable that holds the key; never a key."
    )
    auth: AuthWord | AuthTable | None = Field(
        None, description="How requests are authenticated. Default: the key, in the provider's own way."
    )
    base_url: str | None = Field(None, description="Where the API is. Default: the provider's own address.")
    headers: Mapping[str, str] = Field({}, description="Headers that are sent with every request.")
    cost_from: CostPlace | None = Field(
        None, description="The place of the cost in an answer: a path, or `header:NAME`."
    )
    price_as: Annotated[str, Field(pattern=r"^[a-z0-9_-]+/\S+$"), _LISTED] | None = Field(
        None, description="Use the price of this model of the price table: `openai/gpt-5-mini`."
    )

    @field_validator("auth", mode="before")
    @classmethod
    def _is_a_word_or_a_table(cls, stated: Any) -> Any:
        """Read a table alone: what is wrong in it says more than that it is not a word."""
        refuse_header(stated)
        return AuthTable.model_validate(stated) if isinstance(stated, Mapping) else stated

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = address_of(url, "base_url", _URL)
        path = parts.path.rstrip("/")
        base = path if cls.ends_in is None else cls.ends_in.sub("", path)
        if base != path:
            what = f"'base_url' ends in {path[len(base) :]!r}, which evalh adds itself"
            raise Refused(what, f'base_url = "{parts._replace(path=base).geturl()}"')
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        refuse_unsendable(headers)
        return headers


def address_of(url: str, key: str, example: str, named_in: str = "api_key_env") -> SplitResult:
    """Read an address that stands at a key. Raises Refused; `named_in` is where a key's variable is named."""
    if _UNFILLED.search(url):
        raise Refused(
            f"{key!r} holds a variable, and evalh does not replace variables", f"write the address itself: {example}"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Refused(f"{key!r} is not a URL", example) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f#]", url):
        raise Refused(f"{key!r} must be an http or https URL", example)
    if parts.username is not None or any(is_secret(name) for name, _ in parse_qsl(parts.query)):
        raise Refused(f"{key!r} holds what looks like a key", f"name its variable in {named_in}")
    return parts


def refuse_unsendable(headers: Mapping[str, str]) -> None:
    """Raise Refused for a header that cannot be sent as it stands in a file."""
    for name, value in headers.items():
        wrong, hint = None, None
        if "${" in value:
            wrong = "holds a variable, and evalh does not replace variables"
            hint = "a key's variable is named in api_key_env; anything else is written as it is"
        elif not is_header(name, value):
            wrong = "has a character that is not allowed in a header"
        elif name.lower() in _FRAMING:
            wrong = "belongs to the transport"
        if wrong is not None:
            raise Refused(f"header {name!r} {wrong}", hint, at=(name,))


def is_header(name: str, value: str) -> bool:
    """Whether a header may be called this and hold that."""
    return bool(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value))


class UndeclaredOptions(HostedOptions):
    """The keys of a plugin's provider that declares none: they are passed on unchanged."""

    model_config = ConfigDict(extra="allow")


class Home(Value, kw_only=True):
    """A provider's own address and how it takes a key."""

    kind: str
    base_url: str
    api: str  # what of the API is spoken, for the identity
    key_variables: tuple[str, ...]  # the first that is set
    key_header: str
    key_prefix: str = ""
    headers: Mapping[str, str] | None = None  # sent with every request
    tier_header: str | None = None  # where an answer names the service tier that served, if its body does not


class Endpoint(Value):
    """A model's address, checked. Built from `[models.<name>]`; raises WorkspaceError with its file and line."""

    home: Home
    spec: ModelSpec
    parts: SplitResult
    key_variables: tuple[str, ...]  # empty: no key is sent, or it is not from the environment
    key_header: str
    key_prefix: str

    @classmethod
    def of(cls, spec: ModelSpec, home: Home) -> "Endpoint":
        """Check where the key goes and what of it leaves in the clear. The options are checked by now."""
        auth = Auth.of(spec.auth)
        parts = urlsplit(spec.base_url or home.base_url)
        parts = parts._replace(path=parts.path.rstrip("/"))
        own = _same_origin(parts, urlsplit(home.base_url))
        # A key goes only where it belongs: the provider's usual variable is never read for another address.
        variables = (spec.api_key_env,) if spec.api_key_env else home.key_variables if own else ()
        if auth.kind not in {"home", "key"}:
            if spec.api_key_env is not None:
                raise spec.wrong(
                    "'api_key_env' names a key, and 'auth' sends another or none", "leave out one of the two"
                )
            variables = ()
        elif auth.kind == "key" and not variables:
            raise spec.wrong("'auth' sends a key, and 'api_key_env' names none", 'api_key_env = "GATEWAY_KEY"')
        header, prefix = (home.key_header, home.key_prefix) if auth.kind == "home" else (auth.header, auth.prefix)
        keyed = bool(variables) or auth.kind in {"command", "aws"}
        taken = next((name for name in spec.headers if keyed and name.lower() == header.lower()), None)
        if taken is not None:
            raise spec.wrong(f"header {taken!r} is where the key{' from api_key_env' if variables else ''} goes")
        secret = keyed or any(is_secret(name) for name in spec.headers)
        if parts.scheme == "http" and secret and not is_loopback(parts.hostname or ""):
            what = f"a key would be sent to {parts.hostname} unencrypted"
            raise spec.wrong(what, "use https, or leave api_key_env out where no key is needed")
        return cls(home, spec, parts, variables, header, prefix)

    @property
    def is_home(self) -> bool:
        """Whether this is the provider's own address: the only one whose prices are known."""
        return _same_origin(self.parts, urlsplit(self.home.base_url))

    @property
    def base_url(self) -> str:
        """The address as it is addressed."""
        return urlunsplit(self.parts)

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of a path below the base; the base's own query stays."""
        parts = self.parts
        joined = "&".join(text for text in (parts.query, query) if text)
        return urlunsplit((parts.scheme, parts.netloc, f"{parts.path}{path}", joined, ""))

    def identity(self, options: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """Return what is physically addressed; headers by lower-case name, without those that hold secrets."""
        spec = self.spec
        return {
            "provider": self.home.kind,
            "base_url": self.base_url,
            "api": self.home.api,
            "headers": {name.lower(): spec.headers[name] for name in sorted(spec.headers) if not is_secret(name)},
            **({"options": dict(options)} if options else {}),
        }

    def key(self, env: Mapping[str, str]) -> str | None:
        """Read the key; None where none is sent. Raises UsageError that names the variable, never its value."""
        if not self.key_variables:
            return None
        for variable in self.key_variables:
            key = env.get(variable, "").strip()
            if not key:
                continue
            if not is_key(key):
                raise UsageError(
                    f"model {self.spec.name!r}: {variable} has {beside_the_key(key)}",
                    where=self.spec.where or None,
                    hint=f"set {variable} to the key alone, without quotes, spaces or line breaks",
                )
            return key
        variables = " or ".join(self.key_variables)
        raise KeyMissing(
            f"model {self.spec.name!r} needs a key, and {variables} is not set",
            where=self.spec.where or None,
            hint=f"export {self.key_variables[0]}=…",
        )

    def headers(self, key: str | None) -> dict[str, str]:
        auth = {self.key_header: f"{self.key_prefix}{key}"} if key is not None else {}
        return {"Content-Type": "application/json", **(self.home.headers or {}), **auth, **self.spec.headers}

    def secrets(self, key: str | None) -> list[str]:
        """Return every value that must never be shown or stored; of `Bearer sk-…` the bare key too."""
        values = [value.strip() for name, value in self.spec.headers.items() if is_secret(name)]
        bare = [value.split(None, 1)[1] for value in values if _SCHEME.match(value)]
        return [*values, *bare, *([key] if key else [])]


def is_key(text: str) -> bool:
    """Whether a text is a key alone: what a header can hold, without quotes, blanks or an unfilled variable."""
    return _KEY.fullmatch(text) is not None


def beside_the_key(text: str) -> str:
    """Say what is wrong with a key, without a character of it."""
    signs = (
        (r"^[\"'`]|[\"'`]$", "quotes around the key"),
        (r"[\r\n]", "a line break within the key"),
        (r"\s", "a space within the key"),
        (r"\$\{|\{\{|^\$[A-Za-z_]", "a variable that was not replaced by its value"),
    )
    return next((what for sign, what in signs if re.search(sign, text)), "a character that is not allowed in a header")


def is_secret(name: str) -> bool:
    """Whether a header or query parameter of this name contains a secret."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return any(word in _SECRET_WORDS or word.endswith(("key", "token")) for word in words)


def _same_origin(one: SplitResult, other: SplitResult) -> bool:
    return (one.scheme, one.hostname, _port(one)) == (other.scheme, other.hostname, _port(other))


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme)
