"""Files that are nearly right, cut, doubled and mixed: each reader gives a value or says what is wrong, and none hangs.

`make slow` tries 600 of each kind.
"""

import random
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evalh.core.errors import EvalhError, UsageError, WorkspaceError
from evalh.providers.registry import options_of
from evalh.workspace.config import Config, load_config
from evalh.workspace.dataset.dataset import open_dataset
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.prompt.versions import Position, parse_version
from evalh.workspace.suites import load_suite
from hanging import assert_within
from property.test_workspace_files import CONFIG, SUITE, Files

EXAMPLES = 600
MOST_S = 1.0
MOST_BYTES = 200_000

CSV = 'sep=;\nid;ticket;expected.n:json;expected.word;tags;;\na;"one; ""two""\n";[1, {"x": null}];b;short;;\n\nb;x;TRUE;;;;\n'
JSONL = """{"id": "a", "inputs": {"x": "\\u00e9\\n", "n": [1e5, -0.5, true, null]}, "expected": {"label": "b"}, "tags": ["s"]}
{"id": "b", "inputs": {"messages": [{"role": "user", "content": ["hi", {"media": {"url": "data:image/jpg;BASE64,eHg="}}]}]}}
"""
FRONT = """---
description: A prompt
config: {temperature: 0.5, max_tokens: 24, stop: [a]}
input: {schema: {x: string, "photo?": string, "o?": {items(array): string}}, default: {x: none}}
output:
  format: json
  schema: {label(enum): [billing, bug], list(array): {n: integer}}
evalh.why: why
"""
PORTABLE = (
    FRONT
    + """---
{{! a note }}
{{role "system"}}
Sort \\{{ the ticket.
{{>part}}
{{history}}
{{role "user"}}
{{x}} {{o.list}} {{media url=photo contentType="image/png"}}
"""
)
JINJA2 = (
    FRONT
    + """evalh.template: jinja2
---
{{role "system"}}
{# a note #}{% set y = o['items'] | map(attribute='n') | join(', ') %}{% macro f(n) %}{{ n }}{% endmacro %}
{% for k, v in o.items() %}{{ loop.index }} {{ k ~ v }}{% else %}none{% endfor %}
{% if o.items is defined and x | length > 2 ** 3 %}{{ f(x[:3]) }}{% endif %}{% raw %}{{ raw }}{% endraw %}
{{role "user"}}
{{ x | default('a') | upper | truncate(20) }} {{ o | tojson(indent=2) }} {{ range(3) | list | sum }}
"""
)
HANDLEBARS = (
    FRONT
    + """evalh.template: handlebars
---
{{role "user"}}
{{#each o.items as |i n|}}{{n}}: {{json i}}{{else}}none{{/each}}{{#if x}}{{{x}}}{{/if}}{{!-- note --}}{{~x~}} \\{{x}}
{{#with o}}{{lookup items 0}}{{@root.x}}{{../x}}{{/with}}
"""
)
PIECES = [
    *"{}[]()<>\"'`\\,;:|&*!?%#@~-_=+/. \t\n\r\0\ufeffé\u2028😀09aZ",
    "{{", "}}", "{%", "%}", "{#", "#}", "---\n", '{{role "user"}}', "{{history}}", "{{media url=x}}", "{{>part}}", "<<", "&a ", "*a",
    "- ", ": ", '""', "'''", '"""', "\r\n", "null", "true", "NaN", "1e999", "0x", "\\u0022", "\\ud800", "\\{{", "!!python/object:os.system",
    ":json", "sep=,\n", "expected.", "id", "inputs.", "<think>", "[[a]]\n", "a.b.c = 1\n", "messages", "__class__", "${HOME}", "$ref",
]  # fmt: skip


def mutated(seed: str, number: int) -> str:
    """Change a text as its number says: pieces are put in, taken out, doubled, moved and repeated many times."""
    chance = random.Random(number)
    text = seed
    for _ in range(chance.choice((1, 1, 2, 3, 5, 12))):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 1, 2, 5, 20, 80)))
        piece = chance.choice(PIECES)
        match chance.randrange(6):
            case 0:
                text = text[:start] + piece + text[start:]
            case 1:
                text = text[:start] + text[end:]
            case 2:
                text = text[:end] + text[start:end] * chance.choice((1, 3, 50, 2_000)) + text[end:]
            case 3:
                text = text[:start] + piece * chance.choice((2, 30, 1_000, 20_000)) + text[start:]
            case 4:
                text = text[:start] + piece + text[end:]
            case 5:
                other = chance.randrange(len(text) + 1)
                text = text[:other] + text[start:end] + text[other:]
        text = text[:MOST_BYTES]
    return text


def read_csv(data: bytes) -> None:
    list(open_dataset(Files({"datasets/d.csv": data}), Config(), "datasets/d.csv"))


def read_jsonl(data: bytes) -> None:
    list(open_dataset(Files({"datasets/d.jsonl": data}), Config(), "datasets/d.jsonl"))


def read_suite(data: bytes) -> None:
    load_suite(Files({"evals/s.yaml": data}), Config(), "s")


def read_config(data: bytes) -> None:
    load_config(Files({"evalh.toml": data}), options_of)


def read_prompt(data: bytes) -> None:
    """Parse, compile and fill a prompt."""
    text = data.decode("utf-8", "replace")
    version = parse_version(text, Position("p", "v1", "p.prompt"), lambda name: (f"{name}.prompt", "{{x}} {{! note }}"))
    inputs = {"x": "a <think>b {{x}}", "o": {"items": [{"n": 1}], "list": [1]}, "photo": "data:,x", "n": 2}
    compile_version(version).render(inputs)


KINDS: dict[str, tuple[str, Callable[[bytes], None]]] = {
    "csv": (CSV, read_csv),
    "jsonl": (JSONL, read_jsonl),
    "portable": (PORTABLE, read_prompt),
    "jinja2": (JINJA2, read_prompt),
    "handlebars": (HANDLEBARS, read_prompt),
    "suite": (SUITE.decode(), read_suite),
    "evalh.toml": (CONFIG.decode(), read_config),
}


def tried(kind: str, data: bytes) -> None:
    """Read it. Anything but a value and an error of ours comes through."""
    _, read = KINDS[kind]
    try:
        read(data)
    except (WorkspaceError, UsageError) as exc:
        assert isinstance(exc, EvalhError)
        assert exc.what
        str(exc).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("kind", KINDS)
def test_the_seeds_themselves_are_read(kind: str) -> None:
    if kind == "handlebars":
        pytest.importorskip("dotpromptz_handlebars")
    seed, read = KINDS[kind]
    read(seed.encode())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_nearly_right_is_read_or_refused_within_a_second(kind: str) -> None:
    if kind == "handlebars":
        pytest.importorskip("dotpromptz_handlebars")
    tried(kind, KINDS[kind][0].encode())  # what is imported late is imported now

    # A number represents a whole text: there is nothing to shrink.
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64), st.sampled_from(("utf-8", "utf-8-sig", "latin-1", "utf-16")))
    def run(number: int, encoding: str) -> None:
        text = mutated(KINDS[kind][0], number)
        data = text.encode(encoding if number % 10 == 0 else "utf-8", "replace")
        assert_within(MOST_S, partial(tried, kind, data), of=f"{len(data)} bytes, number {number}")

    run()
