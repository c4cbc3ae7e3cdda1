"""What a model costs and where it is reached, as the workspace states it: read strictly, refused with what to write."""

from decimal import Decimal
from pathlib import Path

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.money import Price, Rates
from evalh.providers.registry import options_of
from evalh.workspace.config import load_config
from evalh.workspace.files import WorkTree

HEAD = '[models.m]\nprovider = "openai"\nmodel = "x"\n'


def spec(tmp_path: Path, body: str, head: str = HEAD) -> ModelSpec:
    (tmp_path / "evalh.toml").write_text(head + body)
    return load_config(WorkTree(tmp_path), options_of).models["m"]


def refused(tmp_path: Path, body: str, head: str = HEAD) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        spec(tmp_path, body, head)
    return caught.value


def test_all_of_a_price_is_read(tmp_path: Path) -> None:
    body = """
[models.m.price]
input = 3
output = 15
cached_input = 0.30
cache_write = 3.75
cache_write_1h = 6
steps = [{above = 200_000, input = 6, output = 22.50, cached_input = 0.6}, {above = 500_000, input = 9, output = 30}]

[models.m.price.tiers]
batch = {input = 1.5, output = 7.5, steps = [{above = 200_000, input = 3, output = 11.25}]}
flex = {input = 2, output = 8}
"""
    price = spec(tmp_path, body).price

    assert price == Price(
        input=Decimal(3),
        output=Decimal(15),
        cached_input=Decimal("0.30"),
        cache_write=Decimal("3.75"),
        cache_write_1h=Decimal(6),
        steps=(
            Rates(input=Decimal(6), output=Decimal("22.50"), cached_input=Decimal("0.6"), above=200_000),
            Rates(input=Decimal(9), output=Decimal(30), above=500_000),
        ),
        tiers=(
            (
                "batch",
                (
                    Rates(input=Decimal("1.5"), output=Decimal("7.5")),
                    Rates(input=Decimal(3), output=Decimal("11.25"), above=200_000),
                ),
            ),
            ("flex", (Rates(input=Decimal(2), output=Decimal(8)),)),
        ),
    )


@pytest.mark.parametrize(
    ("price", "what"),
    [
        ("{input = 1, output = 1, cache_writes = 1}", "unknown key 'cache_writes'"),
        ("{input = 1, output = 1, tiers = {flex = {input = 1}}}", "'output' is missing"),
        ("{input = 1, output = 1, tiers = {flex = {input = 1, output = 1, per_hour = 1}}}", "unknown key 'per_hour'"),
        ("{input = 1, output = 1, tiers = {flex = 1}}", "'flex' must be a mapping, not a number"),
        ("{input = 1, output = 1, tiers = {default = {input = 1, output = 1}}}", "'default' cannot name a tier"),
        ("{input = 1, output = 1, tiers = {Flex = {input = 1, output = 1}}}", "'Flex' cannot name a tier"),
        ("{input = 1, output = 1, steps = {above = 1}}", "'steps' must be a list of mappings, not a mapping"),
        ("{input = 1, output = 1, steps = [7]}", "'steps' must hold a mapping, not a number"),
        ("{input = 1, output = 1, steps = [{input = 1, output = 1}]}", "'above' is missing"),
        ("{input = 1, output = 1, steps = [{above = 9, input = 1}]}", "'output' is missing"),
        ("{input = 1, output = 1, steps = [{above = 0.5, input = 1, output = 1}]}", "'above' must be a whole number"),
        ("{input = 1, output = 1, steps = [{above = 9, input = 1, output = 1, tiers = {}}]}", "unknown key 'tiers'"),
        (
            "{input = 1, output = 1, steps = [{above = 9, input = 1, output = 1}, {above = 9, input = 2, output = 2}]}",
            "more than the step before it",
        ),
        ("{input = 1, output = 1, cache_write = -1}", "'cache_write' must be a number of at least 0"),
        ("{per_hour = 1, tiers = {}}", "'per_hour' excludes 'tiers'"),
        ("{per_hour = 1, cache_write = 1}", "'per_hour' excludes 'cache_write'"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_place(tmp_path: Path, price: str, what: str) -> None:
    error = refused(tmp_path, f"price = {price}\n")

    assert what in error.what
    assert error.where == "evalh.toml:4"


@pytest.mark.parametrize(
    "place", ["usage.cost", "cost", "usage.cost_details.upstream-cost", "header:x-litellm-response-cost"]
)
def test_where_an_answer_says_its_cost(tmp_path: Path, place: str) -> None:
    assert spec(tmp_path, f'cost_from = "{place}"\n').cost_from == place


@pytest.mark.parametrize(
    "place", ["usage cost", "header:", "header:x y", "usage..cost", ".cost", "$.usage.cost", "headers:x", "Header:x"]
)
def test_a_place_that_is_none_is_refused_with_two_that_are(tmp_path: Path, place: str) -> None:
    error = refused(tmp_path, f'cost_from = "{place}"\n')

    assert error.where == "evalh.toml:4"
    assert "usage.cost" in (error.hint or "")
    assert "header:" in (error.hint or "")


ENDS = [
    ("openai", "https://gw.example/v1/chat/completions", "https://gw.example/v1"),
    ("openai", "https://gw.example/v1/chat/completions/?a=b", "https://gw.example/v1?a=b"),
    ("openai", "https://gw.example/v1/completions", "https://gw.example/v1"),
    ("openai", "https://gw.example/v1/embeddings", "https://gw.example/v1"),
    ("anthropic", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com"),
    ("anthropic", "https://gw.example/anthropic/v1", "https://gw.example/anthropic"),
    ("gemini", "https://gw.example/v1beta/models/gemini-2.5-pro:generateContent", "https://gw.example/v1beta"),
    ("gemini", "https://gw.example/v1beta/models/", "https://gw.example/v1beta"),
]


@pytest.mark.parametrize(("provider", "url", "base"), ENDS)
def test_an_address_with_the_operation_at_its_end_says_what_to_write(
    tmp_path: Path, provider: str, url: str, base: str
) -> None:
    head = f'[models.m]\nprovider = "{provider}"\nmodel = "x"\n'
    error = refused(tmp_path, f'base_url = "{url}"\n', head)

    assert (error.where, error.hint) == ("evalh.toml:4", f'base_url = "{base}"')
    assert spec(tmp_path, f'base_url = "{base}"\n', head).base_url == base


@pytest.mark.parametrize(
    "url",
    [
        "${GATEWAY}/v1",
        "https://${HOST}/v1",
        "https://$HOST/v1",
        "https://{{host}}/v1",
        "https://<host>/v1",
        "http://%HOST%/v1",
        "{env.URL}",
    ],
)
def test_a_variable_in_an_address_is_refused_and_not_looked_up(tmp_path: Path, url: str) -> None:
    error = refused(tmp_path, f'base_url = "{url}"\n')

    assert "evalh does not replace variables" in error.what
    assert error.where == "evalh.toml:4"
    assert "base_url = " in (error.hint or "")


def test_a_variable_in_a_header_is_refused_with_where_a_key_goes(tmp_path: Path) -> None:
    error = refused(tmp_path, 'headers = {X-Gateway = "${GATEWAY_KEY}"}\n')

    assert "'X-Gateway' holds a variable" in error.what
    assert "api_key_env" in (error.hint or "")


@pytest.mark.parametrize("url", ["https://gw.example/%C3%A9/v1", "http://[::1]:8000/v1", "https://gw.example/a:b/chat"])
def test_an_address_that_only_looks_odd_is_taken(tmp_path: Path, url: str) -> None:
    head = '[models.m]\nprovider = "gemini"\nmodel = "x"\n'

    assert spec(tmp_path, f'base_url = "{url}"\n', head).base_url == url
