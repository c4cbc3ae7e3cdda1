"""Where spans and log records go: OpenTelemetry's own environment variables, read strictly.

Header values are never shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from evalh.core.errors import UsageError
from evalh.interop.otel_values import OtlpSignal
from evalh.providers.endpoint import is_secret
from evalh.providers.http.egress import is_loopback

DEFAULT_ENDPOINT = "http://localhost:4318"
"""What the OpenTelemetry specification says where nothing else does."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = frozenset(
    ("content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "accept-encoding")
)


class Protocol(StrEnum):
    """How a body is written, in OpenTelemetry's words."""

    JSON = "http/json"
    PROTOBUF = "http/protobuf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """One OTLP/HTTP receiver of a signal."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    protocol: Protocol = Protocol.JSON
    packed: bool = True  # gzip

    @property
    def shown(self) -> str:
        """The address without its query, which may hold what is secret."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))

    @property
    def secrets(self) -> list[str]:
        """Every value that must not be shown; of `Bearer abc` the bare `abc` too."""
        values = [*self.headers.values(), *(value for _, value in parse_qsl(urlsplit(self.url).query))]
        return values + [bare for value in values for _, space, bare in (value.partition(" "),) if space]

    @classmethod
    def of(
        cls,
        env: Mapping[str, str],
        endpoint: str | None = None,
        protocol: str | None = None,
        signal: OtlpSignal = OtlpSignal.TRACES,
        *,
        option: str = "--endpoint",
    ) -> "Collector":
        """Read OTEL_EXPORTER_OTLP_*; what is given by an option comes first. Raises UsageError."""
        url = _url(env, endpoint, signal, option)
        headers: dict[str, str] = {}
        for variable in ("OTEL_EXPORTER_OTLP_HEADERS", f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS"):
            headers |= _headers(variable, env.get(variable, ""))
        secret = next((name for name in headers if is_secret(name)), None)
        if secret and url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise UsageError(f"header {secret!r} would be sent to {url.hostname} unencrypted", hint="use https")
        return cls(
            url=urlunsplit(url),
            headers=headers,
            protocol=_protocol(protocol or _setting(env, signal, "PROTOCOL")),
            packed=_setting(env, signal, "COMPRESSION") != "none",
        )


def pairs(variable: str, text: str) -> dict[str, str]:
    """Read `key=value,key=value`, values in URL escapes. Raises UsageError that never quotes a value."""
    found: dict[str, str] = {}
    for number, entry in enumerate(text.split(","), 1):
        if not entry.strip():
            continue
        name, equals, value = entry.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{variable}: entry {number} is not key=value", hint=f'{variable}="key=value,key2=value2"')
        found[name.strip()] = unquote(value.strip())
    return found


def _headers(variable: str, text: str) -> dict[str, str]:
    found = pairs(variable, text)
    for name, value in found.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UsageError(f"{variable}: {name!r} has a character that is not allowed in a header")
        if name.lower() in _OURS:
            raise UsageError(f"{variable}: {name!r} belongs to the transport", hint="leave it out")
    return found


def _url(env: Mapping[str, str], endpoint: str | None, signal: OtlpSignal, option: str) -> SplitResult:
    own, path = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", f"/v1/{signal}"
    for name, text in (
        (option, endpoint),
        (own, env.get(own)),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", env.get("OTEL_EXPORTER_OTLP_ENDPOINT")),
    ):
        if text:
            parts = _checked(name, text)
            if name == own:
                return parts
            base = parts.path.rstrip("/")
            for other in OtlpSignal:  # an address that somebody copied whole
                base = base.removesuffix(f"/v1/{other}")
            return parts._replace(path=f"{base}{path}")
    return urlsplit(DEFAULT_ENDPOINT + path)


def _checked(name: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f#]", text):
        raise UsageError(f"{name} is not an http or https URL", hint=f"such as {DEFAULT_ENDPOINT}")
    if parts.username is not None:
        hint = "put credentials into OTEL_EXPORTER_OTLP_HEADERS, which is never shown"
        raise UsageError(f"{name} holds a login", hint=hint)
    return parts


def _setting(env: Mapping[str, str], signal: OtlpSignal, name: str) -> str | None:
    return env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}") or env.get(f"OTEL_EXPORTER_OTLP_{name}") or None


def _protocol(text: str | None) -> Protocol:
    try:
        return Protocol(text or Protocol.JSON)
    except ValueError:
        known = " or ".join(Protocol)
        hint = f"--protocol {Protocol.JSON.value}; collectors listen for OTLP/HTTP on port 4318"
        raise UsageError(f"evalh sends OTLP over {known}, not {text!r}", hint=hint) from None
