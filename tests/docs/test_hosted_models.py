"""Each entry of the guide to hosted models, run as it stands against a server that checks what the real one checks.

The addresses are the real ones: a proxy leads them to a server here, whose certificate they trust for the test.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from evalh.api.files import cache_dir_of
from evalh.providers import weights
from evalh.providers.auth.aws import SigningScope
from evalh.providers.auth.token import Granted
from wire.aws import wrong_signature
from wire.gemini_service import content, wrong_content_body
from wire.openai_service import chat, wrong_chat_body
from wire.responses_service import response, said, wrong_body
from wire.service import Reply
from wire.serving import Seen, proxying, serving
from workspaces import evalh, write_workspace

GUIDE = Path(__file__).parents[2] / "docs/guide/hosted-models.md"
CERTIFICATE = Path(__file__).parents[1] / "wire/hosts.pem"
LABEL = '{"label": "billing"}'
ENTRA, GOOGLE = "eyJ0eXAi.entra-token-4f9c2a", "ya29.google-token-8b1d"
AWS = Granted(("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token+of=aws"))
KEYS = {
    "AZURE_OPENAI_API_KEY": "azure-key-4f9c2a7e8b1d",
    "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-4f9c2a",
    "OPENROUTER_API_KEY": "sk-or-v1-4f9c2a7e8b1d",
    "VLLM_API_KEY": "vllm-key-4f9c2a",
    "AWS_ACCESS_KEY_ID": AWS.values[0],
    "AWS_SECRET_ACCESS_KEY": AWS.values[1],
    "AWS_SESSION_TOKEN": AWS.values[2],
}
SECRETS = (*KEYS.values(), ENTRA, GOOGLE)

PROGRAMS: dict[str, tuple[list[str], str]] = {
    # What each must be asked, and what it prints.
    "az": (
        ["account", "get-access-token", "--resource", "https://cognitiveservices.azure.com"],
        json.dumps({"accessToken": ENTRA, "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}),
    ),
    "gcloud": (["auth", "print-access-token"], GOOGLE),
    "aws": (
        ["configure", "export-credentials"],
        json.dumps(
            {
                "Version": 1,
                "AccessKeyId": AWS.values[0],
                "SecretAccessKey": AWS.values[1],
                "SessionToken": AWS.values[2],
                "Expiration": "2099-01-01T00:00:00+00:00",
            }
        ),
    ),
}


def entries() -> dict[str, str]:
    """Every entry of the guide, by the model's name."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return {re.findall(r"\[models\.([\w-]+)\]", block)[0]: block for block in blocks}


def sent_in(header: str, value: str) -> Callable[[Seen], Iterator[str]]:
    """Check who asks; no other header says it too."""

    def wrong(seen: Seen) -> Iterator[str]:
        found = {name: seen.headers.get(name) for name in ("authorization", "api-key", "x-goog-api-key", "x-api-key")}
        if {name: one for name, one in found.items() if one is not None} != ({header: value} if header else {}):
            yield f"401: {found}"

    return wrong


def signed_for(service: str, region: str) -> Callable[[Seen], Iterator[str]]:
    def wrong(seen: Seen) -> Iterator[str]:
        told = wrong_signature(seen, AWS, SigningScope(service, region))
        if told is not None:
            yield f"403: {told}"

    return wrong


def in_newer_words(body: Any) -> Iterator[str]:
    """Check a body as OpenAI's reasoning models on Azure do."""
    yield from wrong_chat_body(body)
    yield from [f"Unsupported parameter: {name}" for name in ("max_tokens", "temperature") if name in body]


@dataclass(frozen=True)
class Real:
    """What the real server is and checks."""

    place: str  # host, path and query
    model: str | None
    asks: Callable[[Seen], Iterator[str]]
    body: Callable[[Any], Iterator[str]] = wrong_chat_body
    answer: Any = None

    def wrong(self, seen: Seen) -> Iterator[str]:
        place = f"{seen.headers['host']}{seen.path}{'?' if seen.query else ''}{seen.query}"
        if re.sub(r"^127\.0\.0\.1:\d+", "localhost", place) != self.place:
            yield f"404: {place}"
        if seen.headers.get("content-type") != "application/json":
            yield "415"
        if self.model is not None and seen.body.get("model") != self.model:
            yield f"no model {seen.body.get('model')!r}"
        yield from self.asks(seen)
        yield from self.body(seen.body)


AZURE, RUNTIME = "contoso.openai.azure.com", "bedrock-runtime.us-east-1.amazonaws.com"
VERTEX = "us-central1-aiplatform.googleapis.com/v1/projects/acme/locations/us-central1"
GPT, OSS = "our-gpt-5-mini", "openai.gpt-oss-20b-1:0"
BILLED = chat(LABEL, usage=chat("")["usage"] | {"cost": 0.00025, "cost_details": {"upstream_inference_cost": None}})
HERE = "localhost/v1/chat/completions"
REAL = {
    "azure": Real(
        f"{AZURE}/openai/v1/chat/completions", GPT, sent_in("api-key", KEYS["AZURE_OPENAI_API_KEY"]), in_newer_words
    ),
    "azure-entra": Real(
        f"{AZURE}/openai/v1/responses",
        GPT,
        sent_in("authorization", f"Bearer {ENTRA}"),
        wrong_body,
        response(said(LABEL)),
    ),
    "azure-classic": Real(
        f"{AZURE}/openai/deployments/our-gpt-4o/chat/completions?api-version=2024-10-21",
        "our-gpt-4o",
        sent_in("api-key", KEYS["AZURE_OPENAI_API_KEY"]),
    ),
    "bedrock": Real(
        f"{RUNTIME}/openai/v1/chat/completions", OSS, sent_in("authorization", "Bearer bedrock-api-key-4f9c2a")
    ),
    "bedrock-signed": Real(f"{RUNTIME}/openai/v1/chat/completions", OSS, signed_for("bedrock", "us-east-1")),
    "bedrock-mantle": Real(
        "bedrock-mantle.us-east-2.api.aws/openai/v1/responses",
        "openai.gpt-5.5",
        signed_for("bedrock-mantle", "us-east-2"),
        wrong_body,
        response(said(LABEL)),
    ),
    "vertex": Real(
        f"{VERTEX}/publishers/google/models/gemini-2.5-flash:generateContent",
        None,
        sent_in("authorization", f"Bearer {GOOGLE}"),
        wrong_content_body,
        content(LABEL),
    ),
    "vertex-openai": Real(
        f"{VERTEX}/endpoints/openapi/chat/completions",
        "google/gemini-2.5-flash",
        sent_in("authorization", f"Bearer {GOOGLE}"),
    ),
    "openrouter": Real(
        "openrouter.ai/api/v1/chat/completions",
        "meta-llama/llama-3.3-70b-instruct",
        sent_in("authorization", f"Bearer {KEYS['OPENROUTER_API_KEY']}"),
        answer=BILLED,
    ),
    "ollama": Real(HERE, "qwen3:8b", sent_in("", "")),
    "vllm": Real(HERE, "Qwen/Qwen3-8B", sent_in("authorization", f"Bearer {KEYS['VLLM_API_KEY']}")),
    "lmstudio": Real(HERE, "qwen3-8b", sent_in("", "")),
    "llama-server": Real(HERE, "smollm2-135m-instruct", sent_in("", "")),
}


def test_the_guide_has_an_entry_for_each_host_and_no_other() -> None:
    assert set(entries()) == set(REAL)


def programs(folder: Path) -> Path:
    """Programs under the names that the entries call; each refuses other arguments and counts its runs."""
    folder.mkdir()
    for name, (arguments, printed) in PROGRAMS.items():
        text = (
            f"#!{sys.executable}\nimport sys\nopen({str(folder / name) + '.runs'!r}, 'a').write('.')\n"
            f"sys.exit('what?') if sys.argv[1:] != {arguments!r} else print({printed!r})\n"
        )
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@asynccontextmanager
async def answering(real: Real, entry: str) -> AsyncIterator[tuple[str, dict[str, str], list[Seen]]]:
    """Serve what the entry addresses; hand out the entry as it is run, the variables, and what was asked."""

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        wrong = next(real.wrong(seen), None)
        if wrong is not None:
            return await Reply({"error": {"message": f"refused: {wrong}"}}, 400).send(request)
        return await Reply(real.answer or chat(LABEL)).send(request)

    local = re.search(r"http://localhost:\d+", entry)
    async with serving(handle, tls=local is None, certificate=CERTIFICATE) as server:
        if local is not None:  # the port of the real one may be taken on this machine
            yield entry.replace(local[0], server.url), {}, server.seen
            return
        async with proxying(urlsplit(server.url).port or 0) as proxy:
            yield entry, {"HTTPS_PROXY": proxy, "SSL_CERT_FILE": str(CERTIFICATE)}, server.seen


def written(folder: Path, entry: str) -> Path:
    write_workspace(folder, cases=3)
    with (folder / "evalh.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{entry}")
    return folder


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((folder / ".evalh").rglob("*")) if path.is_file())


@pytest.mark.parametrize("name", REAL)
async def test_an_entry_is_what_its_server_wants_and_shows_no_secret(name: str, tmp_path: Path) -> None:
    folder = programs(tmp_path / "bin")
    async with answering(REAL[name], entries()[name]) as (entry, proxied, seen):
        workspace = written(tmp_path / "w", entry)
        env = {**os.environ, **KEYS, **proxied, "PATH": f"{folder}:{os.environ['PATH']}"}
        done = await asyncio.to_thread(evalh, workspace, "run", "--model", name, "--json", env=env)
        shown = await asyncio.to_thread(evalh, workspace, "show", "last", "t-0001", env=env)

    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert (result["good"], result["samples"], len(seen)) == (3, 3, 3), result["errors"]
    cost = Decimal(str(result["cost_usd"]))
    free = "input = 0" in entry
    assert cost == 0 if free else cost > 0
    if name == "openrouter":
        assert cost == 3 * Decimal("0.00025")
    asked = {path.name: len(path.read_text()) for path in folder.glob("*.runs")}
    assert set(asked.values()) <= {1}
    kept = everything_in(workspace) + (done.stdout + done.stderr + shown.stdout + shown.stderr).encode()
    assert not [secret for secret in SECRETS if secret.encode() in kept]


def refused(env: Mapping[str, str], workspace: Path, name: str) -> str:
    done = evalh(workspace, "run", "--model", name, env=dict(env))
    assert done.returncode in {2, 4}, done.stdout
    return done.stderr


def test_what_is_missing_is_said_with_what_to_type(tmp_path: Path) -> None:
    """Without a key, a program or credentials; nothing is sent."""
    env = {name: value for name, value in os.environ.items() if name not in KEYS}
    told = {}
    for name in ("azure", "bedrock-signed", "vertex"):
        told[name] = refused({**env, "PATH": str(tmp_path)}, written(tmp_path / name, entries()[name]), name)

    assert "export AZURE_OPENAI_API_KEY=…" in told["azure"]
    assert "AWS_ACCESS_KEY_ID is not set" in told["bedrock-signed"]
    assert "'gcloud' cannot be started" in told["vertex"]
    assert "run it yourself: gcloud auth print-access-token" in told["vertex"]


SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.port, params.warmup = sys.argv[1], 2048, 1, 0, False
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def llama_server() -> Iterator[str]:
    """llama.cpp's own server with a small model; hand out its address."""
    path = weights.pull("smollm2-135m-instruct", cache_dir_of(os.environ))
    running = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    try:
        yield next(line.strip() for line in running.stdout if line.startswith("http"))
    finally:
        running.kill()
        running.communicate()


@pytest.mark.model
@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_real_llama_server_answers_the_entry_in_both_apis(
    llama_server: str, api: str, stream: bool, tmp_path: Path
) -> None:
    entry = entries()["llama-server"].replace("http://localhost:8080", llama_server)
    workspace = written(tmp_path / "w", f'{entry}api = "{api}"\nparams = {{stream = {str(stream).lower()}}}\n')

    done = evalh(workspace, "run", "--model", "llama-server", "--json")

    (result,) = json.loads(done.stdout)["results"]
    assert (result["ungraded"], result["samples"], result["errors"]) == (0, 3, {}), done.stderr
    assert result["cost_usd"] == 0  # it counted its tokens
