"""AWS Signature Version 4, for services such as Bedrock.

Source: AWS, "Signature Version 4 signing process" (IAM User Guide). Credentials come from the environment, or from a
program that prints them as the AWS CLI does (`aws configure export-credentials`), which knows profiles, SSO and roles.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

from evalh.core.values import Value
from evalh.providers.auth.token import Granted, ends_of
from evalh.providers.endpoint import is_key
from evalh.providers.http.errors import json_of, text_at

ALGORITHM = "AWS4-HMAC-SHA256"
KEY_ID, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_UNRESERVED = "-_.~"
_SERVICES = {"bedrock-runtime": "bedrock", "bedrock-runtime-fips": "bedrock", "bedrock-mantle": "bedrock-mantle"}
_UNSIGNED = frozenset({"user-agent", "connection", "expect", "transfer-encoding", "x-amzn-trace-id", "authorization"})
"""Headers that what stands between may change."""
_REGION = re.compile(r"[a-z]{2,8}(?:-[a-z0-9]+)+-[0-9]+")


class SigningScope(Value):
    """What a signature is valid for."""

    service: str
    region: str


def scope_of(host: str) -> SigningScope | None:
    """Read the service and the region from a host of AWS; None if it does not say both."""
    labels = host.lower().split(".")
    service = next((_SERVICES[label] for label in labels if label in _SERVICES), None)
    region = next((label for label in labels if label not in _SERVICES and _REGION.fullmatch(label)), None)
    return None if service is None or region is None else SigningScope(service, region)


def credentials_of(env: Mapping[str, str]) -> Granted | None:
    """Read credentials from the environment; None if there are none."""
    key, secret = env.get(KEY_ID, "").strip(), env.get(SECRET, "").strip()
    if not key or not secret:
        return None
    return Granted(tuple(filter(None, (key, secret, env.get(SESSION, "").strip()))))


def credentials_read(printed: bytes, now: float) -> Granted:
    """Read credentials as AWS's `credential_process` prints them. Raises ValueError, whose words hold none of them."""
    document = json_of(printed) if printed.startswith(b"{") else None
    if document is None:
        raise ValueError("text that is not JSON; aws configure export-credentials prints credentials as JSON")
    key, secret = text_at(document, "AccessKeyId"), text_at(document, "SecretAccessKey")
    if not key or not secret:
        raise ValueError("JSON without AccessKeyId and SecretAccessKey")
    values = tuple(filter(None, (key, secret, text_at(document, "SessionToken"))))
    if not all(map(is_key, values)):
        raise ValueError("credentials with a character that is not allowed in a header")
    return Granted(values, ends_of(document, now))


def signed(
    url: str, headers: Mapping[str, str], body: bytes, credentials: Granted, scope: SigningScope, *, at: datetime
) -> dict[str, str]:
    """Return the headers that sign a POST: what it sends (`headers`), where to, and its body."""
    key, secret, *session = credentials.values
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    own = {"X-Amz-Date": moment} | ({"X-Amz-Security-Token": session[0]} if session else {})
    parts = urlsplit(url)
    named = {name.lower(): " ".join(value.split()) for name, value in {**headers, **own}.items()}
    named = {name: value for name, value in named.items() if name not in _UNSIGNED}
    named["host"] = parts.netloc.rpartition("@")[2]
    names = ";".join(sorted(named))
    request = "\n".join(
        (
            "POST",
            _path(parts.path),
            "&".join(f"{name}={value}" for name, value in sorted(map(_pair, filter(None, parts.query.split("&"))))),
            *(f"{name}:{named[name]}" for name in sorted(named)),
            "",
            names,
            sha256(body).hexdigest(),
        )
    )
    day = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    told = "\n".join((ALGORITHM, moment, day, sha256(request.encode()).hexdigest()))
    signing = f"AWS4{secret}".encode()
    for part in day.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signature = hmac.digest(signing, told.encode(), "sha256").hex()
    return {**own, "Authorization": f"{ALGORITHM} Credential={key}/{day}, SignedHeaders={names}, Signature={signature}"}


def _path(path: str) -> str:
    """Encode a path as it is sent once more, without its dots and double slashes."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in {"", "."}:
            kept.append(part)
    end = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + end, safe="/" + _UNRESERVED)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
