"""Providers: each word becomes a model that evalh.toml accepts, with its settings, or is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalh.api.workspace import Workspace
from evalh.interop.foreign.layout import config_text
from evalh.interop.foreign.promptfoo.suite import read_suite
from evalh.interop.foreign.transfer import Fidelity, ImportRequest, Subject, Transfer


def bring(folder: Path, provider: Any, **more: Any) -> Transfer:
    config = {"prompts": ["{{q}}"], "providers": [provider], "tests": [{"vars": {"q": "x"}}], **more}
    (folder / "promptfooconfig.json").write_text(json.dumps(config))
    return read_suite(ImportRequest(source=folder, into=folder / "out", name="n", allow_code=True, taken=frozenset()))


def model(folder: Path, provider: Any) -> dict[str, Any]:
    """Import a config with one provider; return its table, which evalh.toml must accept."""
    transfer = bring(folder, provider)
    (folder / "evalh.toml").write_text(config_text(transfer.models, None))
    Workspace.open(str(folder))
    (table,) = transfer.models.values()
    return table


OLLAMA = "http://localhost:11434/v1"


@pytest.mark.parametrize(
    ("provider", "table"),
    [
        ("openai:gpt-4.1", {"provider": "openai", "model": "gpt-4.1", "api_key_env": "OPENAI_API_KEY"}),
        ("openai:chat:ft:gpt-4o:me::1", {"provider": "openai", "model": "ft:gpt-4o:me::1"}),
        ("openai:responses:gpt-5-mini", {"provider": "openai", "model": "gpt-5-mini", "api": "responses"}),
        ("anthropic:messages:claude-haiku-4-5", {"provider": "anthropic", "model": "claude-haiku-4-5"}),
        ("anthropic:claude-haiku-4-5", {"provider": "anthropic", "model": "claude-haiku-4-5"}),
        ("google:gemini-2.5-pro", {"provider": "gemini", "model": "gemini-2.5-pro"}),
        ("ollama:chat:gemma3:12b", {"provider": "openai", "model": "gemma3:12b", "base_url": OLLAMA}),
        ("ollama:llama3.2", {"provider": "openai", "model": "llama3.2", "base_url": OLLAMA}),
        ("openrouter:meta-llama/llama-4", {"model": "meta-llama/llama-4", "api_key_env": "OPENROUTER_API_KEY"}),
        ("groq:llama", {"model": "llama", "api_key_env": "GROQ_API_KEY"}),
        ({"id": "openai:chat:m", "config": {"apiHost": "gate.example.org"}}, {"base_url": "https://gate.example.org/v1"}),
        ({"id": "openai:m", "config": {"apiBaseUrl": "https://x.example/v1/", "apiKeyEnvar": "MY_KEY"}}, {"base_url": "https://x.example/v1", "api_key_env": "MY_KEY"}),
        ({"id": "azure:chat:d", "config": {"apiHost": "r.openai.azure.com"}}, {"base_url": "https://r.openai.azure.com/openai/v1"}),
        ({"id": "bedrock:us.m", "config": {"region": "eu-central-1"}}, {"base_url": "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1"}),
        ({"id": "vertex:g", "config": {"projectId": "p", "region": "europe-west1"}}, {"base_url": "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/google"}),
        ({"id": "openai:m", "config": {"temperature": 0, "max_tokens": 9, "stop": ["x"], "passthrough": {"z": 1}}}, {"params": {"temperature": 0, "max_tokens": 9, "stop": ["x"], "z": 1}}),
        ({"id": "openai:m", "config": {"inputCost": 0.000002, "outputCost": 0.000008}}, {"price": {"input": 2, "output": 8}}),
        ({"openai:m": {"config": {"temperature": 1}}}, {"model": "m", "params": {"temperature": 1}}),
        ({"id": "https://a.example/ask", "config": {"body": {"q": "{{prompt}}", "u": "{{q}}"}}}, {"provider": "http", "url": "https://a.example/ask", "body": {"q": "{{prompt}}", "u": "{{inputs.q}}"}, "output": "$"}),
        ({"id": "http", "config": {"url": "http://localhost:1/a", "body": '{"q": "{{ prompt | dump }}"}', "transformResponse": "json.a[0].b", "headers": {"Authorization": "Bearer {{env.TOKEN}}", "X-A": "b"}}}, {"body": {"q": "{{prompt}}"}, "output": "a.0.b", "headers_env": {"Authorization": "TOKEN"}, "headers": {"X-A": "b"}}),
        ({"id": "exec:python3 run.py --x"}, {"provider": "command", "command": ["python3", "run.py", "--x"], "stdin": "prompt"}),
        ({"id": "anthropic:claude-agent-sdk", "config": {"model": "claude-opus-4"}}, {"provider": "command", "command": ["claude", "-p", "--output-format", "json", "--model", "claude-opus-4"]}),
        ("echo", {"provider": "python", "call": "evals/imported/echo.py:echo"}),
    ],
)  # fmt: skip
def test_a_provider_becomes_a_model(provider: Any, table: dict[str, Any], tmp_path: Path) -> None:
    found = model(tmp_path, provider)

    assert {key: found.get(key) for key in table} == table


@pytest.mark.parametrize(
    "provider",
    [
        *("promptfoo:redteam:x", "browser", "websocket", "sequence", "openai:completion:davinci", "nobody:knows", "x", 5, {}),
        *({"id": "http"}, {"id": "http", "config": {"url": "http://{{host}}/"}}, {"id": "http", "config": {"url": "http://a/", "method": "GET"}}),
        *({"id": "http", "config": {"url": "http://a/", "request": "POST /"}}, "file://agent.rb", "openai:codex-sdk"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_told(provider: Any, tmp_path: Path) -> None:
    transfer = bring(tmp_path, provider)

    assert transfer.models == {}
    assert Fidelity.NOT in {item.status for item in transfer.sheet.items() if item.subject is Subject.MODEL}


def test_schema_and_tools_of_a_provider_belong_to_the_version(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    config = {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        "tools": [tool],
    }

    (version,) = bring(tmp_path, {"id": "openai:m", "config": config}).prompts["n"]

    assert version.front["output"] == {"schema": schema}
    assert version.front["tools"] == [{"name": "find", "parameters": {"type": "object", "properties": {}}}]


def test_a_name_that_the_workspace_has_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "promptfooconfig.yaml").write_text("prompts: [hi]\nproviders: [echo, echo]\n")
    request = ImportRequest(source=tmp_path, into=tmp_path, name=None, allow_code=False, taken=frozenset({"echo"}))

    assert set(read_suite(request).models) == {"echo-2", "echo-3"}
