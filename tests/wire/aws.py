"""AWS's side of a signed request: what it would refuse, checked by its own library."""

import re
from datetime import UTC, datetime

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from evalh.providers.auth.aws import SigningScope
from evalh.providers.auth.token import Granted
from wire.serving import Seen


def signature_by_botocore(
    url: str, headers: dict[str, str], body: bytes, credentials: Granted, scope: SigningScope, moment: datetime
) -> str:
    """Sign by AWS's own library at a moment: it reads the clock by itself, so its steps are called here."""
    request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
    signer = botocore.auth.SigV4Auth(Credentials(*credentials.values), scope.service, scope.region)
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    if len(credentials.values) > 2:
        request.headers["X-Amz-Security-Token"] = credentials.values[2]
    told = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(told, request))


def wrong_signature(seen: Seen, credentials: Granted, scope: SigningScope) -> str | None:
    """Check a signature as AWS does, from what arrived; None if it is right."""
    told = seen.headers.get("authorization", "")
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})", told)
    if found is None:
        return "no signature"
    names = found[2].split(";")
    if not {"host", "x-amz-date", "content-type"} <= set(names):
        return "not all is signed"
    if seen.headers.get("x-amz-security-token", "") != "".join(credentials.values[2:]):
        return "the security token is invalid"
    headers = {name: seen.headers[name] for name in names if name not in {"host", "x-amz-date", "x-amz-security-token"}}
    url = f"http://{seen.headers['host']}{seen.path}"
    moment = datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return (
        None
        if found[3] == signature_by_botocore(url, headers, seen.raw, credentials, scope, moment)
        else "the signature does not match"
    )
