"""Signatures for AWS: equal to those that AWS published, to botocore's, and accepted by a server that checks them."""

import hashlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import ErrorKind
from evalh.core.errors import KeyMissing, UsageError, WorkspaceError
from evalh.providers.auth.aws import SigningScope, credentials_read, scope_of, signed
from evalh.providers.auth.token import Granted
from wire.aws import signature_by_botocore, wrong_signature
from wire.openai_service import OPENAI
from wire.service import Reply
from wire.serving import Seen, serving
from wire.talking import Talk, spec_of

KEY, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AQoDYXdzEPT//////////example"
OF_SUITE = Granted((KEY, SECRET))
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SUITE = SigningScope("service", "us-east-1")
BEDROCK = SigningScope("bedrock", "us-east-1")
HOME = "http://example.amazonaws.com/"
FORM = "application/x-www-form-urlencoded"

PUBLISHED: dict[str, tuple[str, dict[str, str], bytes, str]] = {
    # Source: the POST requests of AWS's "Signature Version 4 test suite".
    "post-vanilla": (HOME, {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        f"{HOME}?Param1=value1",
        {},
        b"",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-header-key-sort": (
        HOME,
        {"My-Header1": "value1"},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        HOME,
        {"My-Header1": "VALUE1"},
        b"",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-x-www-form-urlencoded": (
        HOME,
        {"Content-Type": FORM},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


def signature(sent: dict[str, str]) -> str:
    return sent["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(("url", "headers", "body", "expected"), PUBLISHED.values(), ids=PUBLISHED)
def test_signatures_are_those_that_aws_published(url: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    sent = signed(url, headers, body, OF_SUITE, SUITE, at=AT)

    assert signature(sent) == expected
    assert sent["Authorization"].startswith(
        f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, "
    )


_SEGMENT = st.text(alphabet="abcXYZ019-._~%/:+ é", max_size=8).map(
    lambda text: text.replace("é", "%C3%A9").replace(" ", "%20")
)


@given(
    path=st.lists(_SEGMENT, max_size=4).map("/".join),
    query=st.lists(st.sampled_from(["api-version=1", "a=2", "a-b=1", "a=1", "b=", "c", "x=%20y", "z=%2F"]), max_size=4),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "X-Team", "User-Agent", "anthropic-version"]),
        st.text(alphabet="ab \t/;=,", max_size=12),
    ),
    body=st.binary(max_size=40),
    session=st.booleans(),
    port=st.sampled_from(["", ":8443"]),
)
def test_signatures_are_those_of_awss_own_library(
    path: str, query: list[str], headers: dict[str, str], body: bytes, *, session: bool, port: str
) -> None:
    credentials = Granted((KEY, SECRET, SESSION) if session else (KEY, SECRET))
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com{port}/{path}{'?' if query else ''}{'&'.join(query)}"

    assert signature(signed(url, headers, body, credentials, BEDROCK, at=AT)) == signature_by_botocore(
        url, headers, body, credentials, BEDROCK, AT
    )


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", SigningScope("bedrock", "eu-central-1")),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", SigningScope("bedrock", "us-gov-west-1")),
        ("bedrock-mantle.us-east-2.api.aws", SigningScope("bedrock-mantle", "us-east-2")),
        ("vpce-0a1b-2c3d.bedrock-runtime.us-east-1.vpce.amazonaws.com", SigningScope("bedrock", "us-east-1")),
        ("models.example.com", None),
        ("bedrock-runtime.example.com", None),
    ],
)
def test_a_host_of_aws_says_its_service_and_region(host: str, scope: SigningScope | None) -> None:
    assert scope_of(host) == scope


def test_another_host_must_be_said_for_which_region_it_is_signed() -> None:
    spec = spec_of(OPENAI, "https://models.example.com", api_key_env=None, auth="aws")

    with pytest.raises(WorkspaceError, match="does not say for which service and region") as caught:
        OPENAI.build(spec, {})
    assert 'auth = {aws = "bedrock", region = "us-east-1"}' in str(caught.value)


async def answered(auth: Any, env: dict[str, str], *valid: Granted) -> tuple[Any, list[Seen]]:
    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        wrong = [wrong_signature(seen, one, BEDROCK) for one in valid]
        if None in wrong:
            return await Reply(OPENAI.answer(f"{seen.headers['authorization']} {seen.headers}")).send(request)
        return await Reply({"message": f"{wrong[0]}: {seen.headers}"}, 403).send(request)

    async with serving(handle) as server:
        model = OPENAI.build(spec_of(OPENAI, server.url, api_key_env=None, auth=auth), env)
        await model.open()
        talk = Talk(model, server)
        try:
            return await talk.ask(), server.seen
        finally:
            await model.close()


SCOPED = {"aws": "bedrock", "region": "us-east-1"}


@pytest.mark.parametrize("session", [False, True], ids=["long-lived", "of a session"])
async def test_a_request_is_signed_by_the_credentials_of_the_environment_and_shows_none_of_them(session: bool) -> None:
    env = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        **({"AWS_SESSION_TOKEN": SESSION} if session else {}),
    }
    credentials = Granted((KEY, SECRET, SESSION) if session else (KEY, SECRET))

    answer, _ = await answered(SCOPED, env, credentials)

    assert not [value for value in credentials.values if value in str(answer)]


PRINTS = "import json; print(json.dumps({{'Version': 1, 'AccessKeyId': {!r}, 'SecretAccessKey': {!r}, 'SessionToken': {!r}, 'Expiration': '2999-01-01T00:00:00Z'}}))"


async def test_credentials_may_come_from_a_program_as_the_aws_cli_prints_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PRINTS.format(KEY, SECRET, SESSION)]
    credentials = Granted((KEY, SECRET, SESSION))

    answer, seen = await answered({**SCOPED, "command": command}, dict(os.environ), credentials)

    assert not [value for value in credentials.values if value in str(answer)]
    assert hashlib.sha256(seen[0].raw).hexdigest()


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def test_credentials_that_have_run_out_are_renewed_once_and_the_call_is_answered(tmp_path: Path) -> None:
    """AWS says 403 of them, before their stated end."""
    runs = str(tmp_path / "runs")
    code = (
        f"import os; n = len(open({runs!r}).read()) if os.path.exists({runs!r}) else 0; open({runs!r}, 'a').write('.'); "
        + PRINTS.format(KEY, SECRET, "@").replace("'@'", "f'session-{n}'")
    )

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        valid = Granted((KEY, SECRET, "session-1"))
        wrong = wrong_signature(seen, valid, BEDROCK)
        return await (Reply(OPENAI.answer("hi")) if wrong is None else Reply({"message": wrong}, 403)).send(request)

    async with serving(handle) as server:
        auth = {**SCOPED, "command": [sys.executable, "-c", code]}
        model = OPENAI.build(spec_of(OPENAI, server.url, api_key_env=None, auth=auth), dict(os.environ))
        await model.open()
        answer = await Talk(model, server).retried()
        await model.close()

    assert (answer.text, len(server.seen), text_of(tmp_path / "runs")) == ("hi", 2, "..")


async def test_a_signature_that_is_refused_is_a_refused_key_without_a_credential_in_the_message() -> None:
    env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "another-secret-key", "AWS_SESSION_TOKEN": SESSION}

    with pytest.raises(Exception, match="does not match") as caught:
        await answered(SCOPED, env, Granted((KEY, SECRET, SESSION)))

    assert getattr(caught.value, "kind", None) is ErrorKind.AUTH
    assert KEY not in str(caught.value)
    assert SESSION not in str(caught.value)


@pytest.mark.parametrize("lacking", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_without_credentials_the_variable_and_the_ways_out_are_named(lacking: str) -> None:
    env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, lacking: " "}

    with pytest.raises(KeyMissing, match=f"signs its requests for AWS, and {lacking} is not set") as caught:
        await answered(SCOPED, env)

    assert "aws configure export-credentials" in str(caught.value)


async def test_a_credential_that_no_header_may_hold_is_named_and_not_repeated() -> None:
    env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "abc\r\nX-Evil: def"}

    with pytest.raises(UsageError, match="AWS_SESSION_TOKEN has a line break") as caught:
        await answered(SCOPED, env)

    assert "Evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (b"AKIDEXAMPLE secret", "text that is not JSON"),
        (b'{"AccessKeyId": "a"}', "without AccessKeyId and SecretAccessKey"),
        (
            b'{"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c\\r\\nX-Evil: d"}',
            "is not allowed in a header",
        ),
        (b'{"AccessKeyId": 7, "SecretAccessKey": []}', "without AccessKeyId and SecretAccessKey"),
        (b"{", "text that is not JSON"),
    ],
)
def test_what_is_not_credentials_is_said_without_repeating_it(printed: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        credentials_read(printed, 0.0)

    assert "secret" not in str(caught.value)
