"""Files that hold every key are read into the same values as ever: digests, fingerprints and policies rest on these."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from evalh.core.digest import digest
from evalh.core.suite import GraderSpec
from evalh.providers.registry import options_of
from evalh.workspace.config import load_config
from evalh.workspace.files import WorkTree
from evalh.workspace.suites import load_suite

GOLDEN = Path(__file__).parent / "values.golden.json"

TOML = """[workspace]
default_suite = "triage"
plugins = ["evals/graders.py"]
base = "origin/main"
prompts = "ai/prompts"
datasets = "./data"

[prompts.triage]
live = "v3"

[models.small]
provider = "local"
path = "weights/small.gguf"
slots = 2
context = 2048
threads = 2
price = {per_hour = 0.10}
reasoning = "keep"

[models.strong]
provider = "openai"
model = "gpt-5-mini"
api_key_env = "OPENAI_API_KEY"
base_url = "https://example.org/v1"
headers = {X-Team = "support"}
timeout_s = 30
params = {temperature = "null", top_p = 0.25, seed = 12345678901234567890123, stop = ["a", {b = 1.50}]}
cost_from = "usage.cost"
schema = "json_object"
max_tokens_name = "max_completion_tokens"
api = "chat"

[models.strong.price]
input = 3
output = 15
cached_input = 0.0250
cache_write = 3.75
cache_write_1h = 6
steps = [{above = 200_000, input = 6, output = 22.50, cached_input = 0.6}, {above = 500_000, input = 9, output = 30}]
tiers = {batch = {input = 1.5, output = 7.5, steps = [{above = 200_000, input = 3, output = 11.25}]}}

[models.claude]
provider = "anthropic"
model = "claude"
schema = "tool"

[models.flash]
provider = "gemini"
model = "flash"
timeout_s = 1.5

[models.kept]
provider = "replay"
path = "recorded/{version}.jsonl"

[models.script]
provider = "scripted"
table = {a = "b", c = {d = 0.10}}
default = "yes"
latency_ms = 5

[models."gpt-5.1"]
provider = "acme"
region = "eu"
retries.most = 0.5

[routes.plain]
model = "small"
breaker = false

[routes.careful]
model = "small"
retry = {attempts = 3, on = ["timeout", "bad_response"], base_s = 0.25, cap_s = 8, max_wait_s = 60, share = 0.1}
breaker = {rate = 0.25, min = 10, window_s = 15, cooldown_s = 2.5}
limit = {concurrency = 4, rpm = 60, tpm = 90000, max_wait_s = 7}
fallback = ["plain", "other"]
fallback_on = ["quota", "refusal"]
budget = {usd_per_run = 2.10, usd_per_day = 20, usd_per_case = 0.01, tokens_per_run = 100000, deadline_s = 90}
repair = {checks = ["schema", {latency = 812.5}], by = "vary", attempts = 2}
cascade = {checks = ["json", {contains = "because"}, {cost = {max_usd = 0.10}}], escalate_to = "strong", by = "verify"}
"""
SUITE = """description: Which team gets a ticket.
prompt: triage
dataset: triage
model: small
owner: support-team
trials: 3
max_ungraded: 0.1
graders:
  - schema
  - equals: {path: label, expected: label}
  - equals:
      path: order.id
      required: false
  - contains: [a, b]
  - contains: foo
  - length: {max_chars: 500, name: brief}
  - json:
  - embedding_similarity: {model: m, at_least: 0.8}
  - judge: {rubric: rubrics/tone.md, required: false, name: tone}
  - not: {equals: {value: yes, required: 3, name: 4}}
  - any_of: [json, {number: {value: 2.50}}]
compare:
  - prefer: {rubric: rubrics/tone.md}
gate:
  require: no_worse
  margin: 0.03
  target: dataset
  doubt: refuse
  sequential: false
  discordance: 0.2
  trials: 2
  must_pass: {tags: [incident], cases: [t-1], trials: 5, passes: 4}
  good_rate: {at_least: 0.9}
  never: {tone: 0.02, schema: 0}
  cost_per_good: {may_rise: 0.1}
  latency_p95: {may_rise: 1}
  net_loss: {may_rise: 0.2}
  graders: {schema: {margin: 0.01}, tone: {}}
  max_ungraded: 0.05
  canary: 0
baseline: {max_age: 4 weeks, outputs: false}
value: {bad_usd: 0.50, review_usd: 1, abstain_usd: 0.1, review: [tone]}
"""


def plain(value: Any) -> Any:
    """Return a value as JSON that keeps apart what compares differently: 2 and 2.0, "0.10" and "0.1"."""
    fields = [name for name in getattr(value, "__struct_fields__", ()) if name != "source"]
    if fields:
        lines = {"places": {key: value.where_of(key) for key in value.params}} if isinstance(value, GraderSpec) else {}
        return {name: plain(lines.get(name, getattr(value, name))) for name in fields}
    match value:
        case Decimal():
            return {"Decimal": str(value)}
        case frozenset():
            return sorted(map(str, value))
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def test_every_key_is_read_into_the_same_value(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evalh.toml").write_text(TOML)
    (tmp_path / "evals/triage.yaml").write_text(SUITE)
    tree = WorkTree(tmp_path)
    config = load_config(tree, options_of)
    suite = load_suite(tree, config, "triage")

    read = {
        "config": plain(config),
        "suite": plain(suite),
        "digests": {
            "graders": [digest(GraderSpec.document(one)) for one in suite.graders],
            "routes": [digest(route.document()) for route in config.routes.values()],
            "params": [digest(model.params) for model in config.models.values()],
            "options": [digest(model.options) for model in config.models.values()],
        },
    }

    text = json.dumps(read, indent=1) + "\n"
    if os.environ.get("EVALH_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
