"""A model's address, headers and options are checked when the workspace is read, with file and line."""

from typing import Any

import pytest

from evalh.core.errors import WorkspaceError
from evalh.providers.hosted import Hosted
from wire.anthropic_service import ANTHROPIC
from wire.openai_service import OPENAI
from wire.talking import spec_of


def built(**spec: Any) -> Hosted:
    return OPENAI.build(spec_of(OPENAI, None, **spec), {})


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"headers": {"X Team": "a"}}, "header 'X Team' has a character that is not allowed in a header"),
        ({"headers": {"X-Team": "a\r\nX-Evil: b"}}, "header 'X-Team' has a character that is not allowed in a header"),
        ({"headers": {"X-Team": "Grüße"}}, "header 'X-Team' has a character that is not allowed in a header"),
        ({"headers": {"Content-Length": "7"}}, "header 'Content-Length' belongs to the transport"),
        ({"headers": {"authorization": "Bearer x"}}, "header 'authorization' is where the key from api_key_env goes"),
        ({"base_url": "http://[::1"}, "'base_url' is not a URL"),
        ({"base_url": "http://localhost:99999/v1"}, "'base_url' is not a URL"),
        ({"base_url": "https://models.example/v1#part"}, "'base_url' must be an http or https URL"),
        ({"base_url": "https://models.example/v1\n"}, "'base_url' must be an http or https URL"),
        ({"base_url": "models.example/v1"}, "'base_url' must be an http or https URL"),
        ({"base_url": "https://models.example/?access_token=x"}, "'base_url' holds what looks like a key"),
        ({"options": {"schema": "yes"}}, "'schema' must be json_schema or json_object or none, not 'yes'"),
        (
            {"options": {"max_tokens_name": "tokens"}},
            "'max_tokens_name' must be max_tokens or max_completion_tokens, not 'tokens'",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(spec: dict[str, Any], wrong: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        built(**spec)

    assert wrong in caught.value.what
    assert caught.value.where == "evalh.toml:7"


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:8000", "http://a.localhost"]
)
def test_a_key_may_travel_unencrypted_within_this_machine(url: str) -> None:
    assert built(base_url=url).identity["base_url"] == url


def test_a_server_in_the_clear_may_be_asked_without_a_key() -> None:
    assert not built(base_url="http://vllm:8000/v1", api_key_env=None).at_home


def test_a_secret_header_does_not_travel_unencrypted_either() -> None:
    with pytest.raises(WorkspaceError, match="unencrypted"):
        built(base_url="http://vllm:8000/v1", api_key_env=None, headers={"X-Api-Key": "s"})


def test_a_closing_slash_makes_no_other_address() -> None:
    assert built(base_url="https://api.openai.com/v1/").identity == built().identity


def test_what_is_asked_for_in_another_way_is_another_identity() -> None:
    assert built(options={"schema": "json_object"}).identity != built().identity
    assert ANTHROPIC.build(spec_of(ANTHROPIC, None), {}).identity["headers"] == {}


def test_another_key_variable_or_price_is_the_same_identity() -> None:
    assert built(api_key_env="OTHER_KEY", timeout_s=1.0).identity == built().identity
