"""`auth` and `price_as` in evalh.toml: what they mean, and what is refused with its line."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from evalh.api.workspace import Workspace
from evalh.core.attempt import CallError, Usage
from evalh.core.errors import WorkspaceError
from evalh.core.model import ModelSpec
from evalh.providers.prices import WorkspacePrices
from evalh.providers.registry import options_of
from evalh.workspace.config import load_config
from evalh.workspace.files import WorkTree
from wire.anthropic_service import ANTHROPIC
from wire.gemini_service import GEMINI
from wire.openai_service import OPENAI
from wire.service import Service
from wire.talking import KEY, opened, spec_of, talking
from workspaces import evalh, write_workspace

AT_HOME = 'provider = "openai"\nmodel = "gpt-5-mini"\n'
ELSEWHERE = AT_HOME + 'base_url = "https://models.example.com/v1"\n'


def read(tmp_path: Path, body: str) -> ModelSpec:
    (tmp_path / "evalh.toml").write_text(f"[models.m]\n{body}\n", encoding="utf-8")
    return load_config(WorkTree(tmp_path), options_of).models["m"]


REFUSED = {
    'auth = "basic"': "'auth' must be bearer, aws, none or header:NAME",
    'auth = "header:"': "'auth' must be bearer, aws, none or header:NAME",
    'auth = "header:X Key"': "'auth' must be bearer, aws, none or header:NAME",
    'auth = "header:content-type"': "cannot be sent as 'content-type'",
    "auth = 7": "'auth' must be bearer, aws, none or header:NAME",
    "auth = {}": "'auth' needs 'command' or 'aws'",
    "auth = {command = []}": "'command' must be a list: the program and its arguments",
    'auth = {command = [""]}': "'command' must begin with the name of a program",
    'auth = {command = "gcloud auth"}': "'command' must be a list: the program and its arguments",
    'auth = {comand = ["x"]}': "unknown key 'comand'",
    'auth = {command = ["x"], ttl_s = 0}': "'ttl_s' must be a number above 0",
    'auth = {command = ["x"], region = "us-east-1"}': "'region' belongs to 'aws'",
    'auth = {aws = "bedrock", region = "us east"}': "'region' must be a region of AWS",
    'auth = {aws = "Bedrock/x", region = "us-east-1"}': "'aws' must be the service that requests are signed for",
    'auth = {aws = "bedrock"}': "'aws' needs the 'region'",
    'auth = {aws = "bedrock", region = "us-east-1", header = "X-Key"}': "'header' belongs to a token",
    'auth = {aws = "bedrock", region = "us-east-1", ttl_s = 5}': "'ttl_s' belongs to 'command'",
    'auth = {command = ["x"], header = "Host"}': "cannot be sent as 'Host'",
    'price_as = "gpt-5-mini"': "'price_as' must be a provider and a model of the price table",
}


@pytest.mark.parametrize(("line", "told"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_is_refused_with_its_line(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError) as caught:
        read(tmp_path, ELSEWHERE + line)

    assert told in caught.value.what
    assert caught.value.where == "evalh.toml:5"


CONTRADICTIONS = {
    'auth = "none"\napi_key_env = "K"': "'api_key_env' names a key, and 'auth' sends another or none",
    'auth = "aws"\napi_key_env = "K"': "'api_key_env' names a key, and 'auth' sends another or none",
    'auth = {command = ["x"]}\napi_key_env = "K"': "'api_key_env' names a key",
    'auth = "bearer"': "'auth' sends a key, and 'api_key_env' names none",
    'auth = "header:api-key"': "'auth' sends a key, and 'api_key_env' names none",
    'auth = {command = ["x"]}\nheaders = {authorization = "a"}': "'authorization'",
    'auth = "header:X-Key"\napi_key_env = "K"\nheaders = {x-key = "a"}': "header 'x-key' is where the key from",
}


@pytest.mark.parametrize(("lines", "told"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
def test_two_ways_at_once_are_refused(lines: str, told: str, tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, model=ELSEWHERE + lines + "\n")

    done = evalh(folder, "run", "--dry-run")

    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_no_token_travels_unencrypted() -> None:
    for auth in ({"command": ["x"]}, {"aws": "bedrock", "region": "us-east-1"}):
        with pytest.raises(WorkspaceError, match="unencrypted"):
            OPENAI.build(spec_of(OPENAI, "http://models.example", api_key_env=None, auth=auth), {})


@pytest.mark.parametrize("service", [OPENAI, ANTHROPIC, GEMINI], ids=lambda service: service.name)
@pytest.mark.parametrize(
    ("auth", "header", "value"), [("bearer", "authorization", f"Bearer {KEY}"), ("header:api-key", "api-key", KEY)]
)
async def test_a_key_goes_where_it_is_said(service: Service, auth: str, header: str, value: str) -> None:
    usual = service.key_headers[0]
    async with talking(service, auth=auth) as talk:
        try:
            await talk.ask()
        except CallError as error:
            assert "no key in" in error.message  # the service itself takes it in its own header
        sent = talk.server.seen[0].headers

    assert sent[header] == value
    assert usual == header or usual not in sent


async def test_no_key_is_sent_where_none_is_wanted_even_at_home() -> None:
    model = OPENAI.build(spec_of(OPENAI, None, api_key_env=None, auth="none"), {"OPENAI_API_KEY": KEY})

    assert (model.at_home, model.key_variables) == (True, ())


async def test_who_asks_is_not_part_of_what_is_asked() -> None:
    identities = []
    for auth in (None, "bearer", "header:api-key"):
        async with opened(OPENAI, "http://127.0.0.1:9", auth=auth) as model:
            identities.append(model.identity)

    assert identities[0] == identities[1] == identities[2]


def test_a_deployment_costs_what_the_row_of_the_table_says_that_it_names() -> None:
    at_home = OPENAI.build(spec_of(OPENAI, None, model="gpt-4o"), {})
    named = spec_of(OPENAI, "https://contoso.openai.azure.com", model="our-deployment", price_as="openai/gpt-4o")
    deployed = OPENAI.build(named, {})
    usage = Usage(1_000_000, 0)
    costs = [pricer.cost(usage, 1.0) for it in (at_home, deployed) if (pricer := WorkspacePrices().find(it))]

    assert costs == [Decimal("2.5"), Decimal("2.5")]


@pytest.mark.parametrize(
    ("row", "hint"), [("openai/gpt-4oo", "did you mean 'gpt-4o'?"), ("opena/gpt-4o", "did you mean 'openai'?")]
)
def test_a_row_that_the_table_lacks_is_a_mistake_with_its_place_for_check_and_run(
    row: str, hint: str, tmp_path: Path
) -> None:
    folder = write_workspace(tmp_path, model=f'{ELSEWHERE}price_as = "{row}"\n')

    for verb in (("check",), ("run", "--dry-run")):
        done = evalh(folder, *verb)
        said = done.stdout + done.stderr
        assert done.returncode == 2, said
        assert f"evalh.toml:4: model 'small': 'price_as' names {row!r}, which the price table does not have" in said
        assert hint in said


def test_explain_says_by_which_row_a_model_is_priced(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, model=f'{ELSEWHERE}price_as = "openai/gpt-4o"\n')

    assert "it costs what the price table says for openai/gpt-4o" in " ".join(
        evalh(folder, "explain", "small").stdout.split()
    )


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        (f'{{command = ["{sys.executable}", "-c", ""]}}', "its key comes from"),
        ('{command = ["./token.sh"]}', "its key comes from './token.sh', which does not exist"),
        ('{aws = "bedrock", region = "us-east-1"}', "AWS_ACCESS_KEY_ID is not set"),
        ('"none"', "no key is sent"),
    ],
)
def test_doctor_says_where_the_key_comes_from_and_runs_nothing(auth: str, told: str, tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, model=f"{ELSEWHERE}auth = {auth}\n")

    found = next(one for one in Workspace.open(folder).doctor() if one.subject == "model small")

    assert told in found.what
