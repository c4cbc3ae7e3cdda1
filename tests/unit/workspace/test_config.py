"""evalh.toml."""

from decimal import Decimal
from pathlib import Path

import pytest

from evalh.core.errors import ExitCode, WorkspaceError
from evalh.core.money import Price
from evalh.core.route import BudgetPolicy, Route
from evalh.providers.registry import options_of
from evalh.workspace.config import Config, find_root, load_config
from evalh.workspace.files import WorkTree

FULL = """# The whole of it.
[workspace]
default_suite = "triage"
plugins = ["evals/graders.py"]
base = "origin/main"
prompts = "ai/prompts"
evals = "ai/evals/"
datasets = "./data"

[prompts.triage]
live = "v3"

[models.small]
provider = "local"
model = "smollm2-135m-instruct"
slots = 2
context = 2048
threads = 2
price = {per_hour = 0.10}

[models.strong]
provider = "openai"
model = "gpt-5-mini"
api_key_env = "OPENAI_API_KEY"
base_url = "https://example.org/v1"
headers = {X-Team = "support"}
timeout_s = 30
params = {temperature = "null", top_p = 0.25, seed = 12345678901234567890123}
price = {input = 0.25, output = 2, cached_input = 0.0250}

[models."gpt-5.1"]
provider = "acme"
region = "eu"
retries.most = 0.5

[routes.careful]
model = "small"
budget = {usd_per_run = 2.0}
"""


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / "evalh.toml").write_text(text, encoding="utf-8")
    return load_config(WorkTree(tmp_path), options_of)


def refused(tmp_path: Path, text: str) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def model(body: str) -> str:
    return f"[models.m]\n{body}\n"


def test_every_documented_key_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)

    assert (config.default_suite, config.plugins, config.base) == ("triage", ("evals/graders.py",), "origin/main")
    assert (config.prompts_dir, config.evals_dir, config.datasets_dir) == ("ai/prompts", "ai/evals", "data")
    assert config.live == {"triage": "v3"}
    budget = BudgetPolicy(usd_per_run=Decimal(2))
    where = config.where_of("routes", "careful")
    assert config.routes == {"careful": Route(name="careful", model="small", budget=budget, where=where)}
    small, strong, plugin = config.models.values()
    assert (small.provider, small.where, small.timeout_s) == ("local", "evalh.toml:13", 120.0)
    assert small.options == {"slots": 2, "context": 2048, "threads": 2}
    assert (strong.api_key_env, strong.base_url, strong.timeout_s) == ("OPENAI_API_KEY", "https://example.org/v1", 30.0)
    assert strong.headers == {"X-Team": "support"}
    assert strong.params == {"temperature": None, "top_p": 0.25, "seed": 12345678901234567890123}
    assert (plugin.name, plugin.model) == ("gpt-5.1", "gpt-5.1")
    assert plugin.options == {"region": "eu", "retries": {"most": 0.5}}


def test_an_empty_file_has_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, "")

    assert config == Config(source=config.source)
    assert (config.prompts_dir, config.evals_dir, config.datasets_dir) == ("prompts", "evals", "datasets")


def test_prices_are_exact_decimals(tmp_path: Path) -> None:
    price = (
        load(tmp_path, model('provider = "openai"\nmodel = "x"\nprice = {input = 0.1, output = 1e-7}'))
        .models["m"]
        .price
    )

    assert price == Price(input=Decimal("0.1"), output=Decimal("0.0000001"))


def test_a_price_of_nothing_is_stated_and_an_absent_one_is_unknown(tmp_path: Path) -> None:
    stated = load(tmp_path, model('provider = "local"\nprice = {input = 0, output = 0}'))
    absent = load(tmp_path, model('provider = "local"'))

    assert stated.models["m"].price == Price(input=Decimal(0), output=Decimal(0))
    assert absent.models["m"].price is None


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("[workspce]\n", "unknown key 'workspce'", 1),
        ("[workspace]\ndefault_suit = 'a'\n", "unknown key 'default_suit'", 2),
        ("[prompts.a]\nlife = 'v3'\n", "unknown key 'life'", 2),
        ("[models.m]\nprovider = 'openai'\nmodel = 'x'\ntimeout = 3\n", "unknown key 'timeout'", 4),
        ("[models.m]\nprovider = 'local'\nbase_url = 'http://x'\n", "unknown key 'base_url'", 3),
        ("[models.m]\nprovider = 'openai'\nmodel = 'x'\nprice = {inptu = 1}\n", "unknown key 'inptu'", 4),
        ("[workspace]\n\ndefault_suite = 3\n", "'default_suite' must be text, not a number", 3),
        ("[workspace]\nplugins = 'a.py'\n", "'plugins' must be a list of texts, not text", 2),
        ("[workspace]\nprompts = '../x'\n", "'prompts' must be a folder inside", 2),
        ("[workspace]\nevals = '/x'\n", "'evals' must be a folder inside", 2),
        ("[workspace]\ndatasets = '.'\n", "'datasets' must be a folder inside", 2),
        ("[prompts.a]\nlive = 'draft'\n", "'live' names a frozen version", 2),
        ("models = 3\n", "'models' must be a mapping, not a number", 1),
        ("[models]\nm = 'x'\n", "'m' must be a mapping, not text", 2),
        ("[models.m]\nmodel = 'x'\n", "'provider' is missing", 1),
        ("[models.m]\nprovider = 'openai'\n", "'model' is missing", 1),
        ("[models.m]\nprovider = 'replay'\n", "'path' is missing", 1),
        ("[models.m]\nprovider = 'scripted'\n", "either 'function' or 'table'", 1),
        ("[models.'a b']\nprovider = 'local'\n", "'a b' cannot name a model", 1),
        ("[models.m]\nprovider = 'local'\nslots = 0\n", "'slots' must be a whole number of at least 1", 3),
        ("[models.m]\nprovider = 'local'\nslots = true\n", "'slots' must be a whole number", 3),
        ("[models.m]\nprovider = 'local'\ntimeout_s = 0\n", "'timeout_s' must be a number above 0", 3),
        ("[models.m]\nprovider = 'local'\ntimeout_s = -1.5\n", "'timeout_s' must be a number above 0", 3),
        ("[models.m]\nprovider = 'local'\nprice = {per_hour = -1}\n", "'per_hour' must be a number of at least 0", 3),
        ("[models.m]\nprovider = 'local'\nprice = {input = 1}\n", "states both 'input' and 'output'", 3),
        ("[models.m]\nprovider = 'local'\nprice = {}\n", "states both 'input' and 'output'", 3),
        ("[models.m]\nprovider = 'local'\nprice = {per_hour = 1, output = 1}\n", "'per_hour' excludes 'output'", 3),
        ("[models.m]\nprovider = 'x'\nheaders = {a = 1}\n", "'a' must be text, not a number", 3),
        ('[models.m]\nprovider = "x"\nheaders = {a = "b\\nc: d"}\n', "header 'a' has a character", 3),
        ("[models.m]\nprovider = 'x'\nheaders = {'a b' = ''}\n", "header 'a b' has a character", 3),
        ("[models.m]\nprovider = 'x'\nbase_url = 'localhost:8000'\n", "must be an http or https URL", 3),
        ("[models.m]\nprovider = 'x'\nbase_url = 'file:///etc/passwd'\n", "must be an http or https URL", 3),
        ("[models.m]\nprovider = 'x'\nbase_url = 'http://x:port'\n", "is not a URL", 3),
        ("[models.m]\nprovider = 'x'\nborn = 2020-01-01\n", "dates are not read here", 3),
        ("[models.m]\nprovider = 'x'\nmost = inf\n", "infinities and NaN", 3),
        ("[models.m]\nprovider = 'x'\nmost = [1, 1e999]\n", "infinities and NaN", 3),
        ("[models.m]\nprovider = 'local'\n[routes.m]\nmodel = 'm'\n", "'m' is a model already", 3),
        ("[routes]\ncareful = 1\n", "'careful' must be a mapping", 2),
        ("a = 1\n[x\n", "is not TOML", 2),
        ("a = \n", "is not TOML", 1),
        ("x = 1\nx = 2\n", "is not TOML", 2),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, what: str, line: int) -> None:
    error = refused(tmp_path, text)

    assert what in error.what
    assert error.where == f"evalh.toml:{line}"


@pytest.mark.parametrize("text", [f"a = {'[' * 20_000}", f"a = {'9' * 5000}"])
def test_what_the_parser_cannot_hold_is_refused(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).where == "evalh.toml"


def test_all_mistakes_of_the_file_are_told_in_its_order(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        "[workspace]\nplugin = ['a.py']\n[models.m]\nprovider = 'openai'\nmodle = 'x'\ntimeout_s = 0\n"
        "price = {input = 1, output = 'free'}\n[models.n]\nprovidr = 'local'\n"
        "[routes.r]\nmodel = 'm'\nretry = {attempts = 0}\n",
    )

    assert str(error).splitlines() == [
        "evalh.toml:2: unknown key 'plugin'",
        "  did you mean 'plugins'?",
        "evalh.toml:5: unknown key 'modle'",
        "  did you mean 'model'?",
        "evalh.toml:6: 'timeout_s' must be a number above 0",
        "evalh.toml:7: 'output' must be a number of at least 0, not text",
        "  USD per million tokens; what is free is written as 0",
        "evalh.toml:9: unknown key 'providr'",
        "  did you mean 'provider'?",
        "evalh.toml:12: 'attempts' must be a whole number from 1 to 1,000,000",
    ]


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    assert refused(tmp_path, "[workspace]\ndefault_suit = 'a'\n").hint == "did you mean 'default_suite'?"


def test_null_is_explained_where_toml_has_none(tmp_path: Path) -> None:
    error = refused(tmp_path, "[models.m]\nprovider = 'local'\nparams = {temperature = null}\n")

    assert (error.where, error.hint) == ("evalh.toml:3", 'TOML has no null; write "null"')


SECRET = "sk-proj-abcdefghijklmnop"


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{SECRET}"',
        'api_key = "short"',
        f'api_key_env = "{SECRET}"',
        f'api_key_env = "{SECRET.replace("-", "_")}"',
        f'headers = {{Authorization = "Bearer {SECRET}"}}',
        f'headers = {{X-Custom = "Bearer {SECRET}"}}',
        f'headers = {{x-api-key = "{SECRET[3:]}"}}',
        f'params = {{user = "{SECRET}"}}',
        f'base_url = "https://me:{SECRET}@example.org"',
        f'base_url = "https://example.org/v1?api_key={SECRET}"',
        'token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc"',
        'anything = "AIzaSyAabcdefghijklmnopqrstuvwxyz012345"',
        'password = "hunter2"',
    ],
)
def test_a_key_in_the_file_is_refused_and_never_repeated(tmp_path: Path, line: str) -> None:
    error = refused(tmp_path, f'[models.m]\nprovider = "acme"\nmodel = "x"\n{line}\n')

    assert error.where == "evalh.toml:4"
    assert "api_key_env" in str(error.hint)
    shown = f"{error} {error.__cause__} {error.__context__}"
    assert not any(part in shown for part in (SECRET, SECRET[3:], "hunter2", "eyJ", "AIza"))


def test_a_key_is_refused_before_the_unknown_table_it_stands_in(tmp_path: Path) -> None:
    assert "looks like a key" in refused(tmp_path, '[openai]\napi_key = "x"\n').what


def test_scripted_answers_may_look_like_anything(tmp_path: Path) -> None:
    table = f'[models.m]\nprovider = "scripted"\ntable = {{token = "{SECRET}", "t-1" = "billing"}}\n'

    assert load(tmp_path, table).models["m"].options["table"] == {"token": SECRET, "t-1": "billing"}


def test_lines_are_found_among_texts_that_look_like_tables(tmp_path: Path) -> None:
    text = (
        'x = """\n[models.a]\nprovider = 1\n"""\n'.replace("x =", "[workspace]\nbase =")
        + "plugins = [\n  'a', # ]\n  '[models.b]',\n]\n"
        + "[models . 'small']  # [models.c]\nprovider = 'local'\nmodel = '''\n[x]\n'''\n\n[models.big] \nprovider = ''\n"
    )

    assert refused(tmp_path, text).where == "evalh.toml:17"
    good = load(tmp_path, text.replace("provider = ''", "provider = 'y'"))
    assert [spec.where for spec in good.models.values()] == ["evalh.toml:10", "evalh.toml:16"]


def test_routes_know_where_they_stand(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)

    lines = FULL.splitlines()
    line = lines.index("[routes.careful]") + 1
    assert config.where_of("routes", "careful") == f"evalh.toml:{line}"
    assert config.where_of("routes", "careful", "budget") == f"evalh.toml:{line + 2}"
    assert Config().where_of("routes", "careful") == "evalh.toml"


def test_the_root_is_the_nearest_folder_upwards(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    (inner / "evalh.toml").mkdir(parents=True)  # a folder of that name is not a workspace
    (tmp_path / "evalh.toml").touch()

    assert find_root(inner) == tmp_path.resolve()
    assert find_root(tmp_path / "evalh.toml") == tmp_path.resolve()


def test_no_workspace_says_how_to_begin_one() -> None:
    top = Path(Path.cwd().anchor)  # a temporary folder may lie below somebody's workspace
    with pytest.raises(WorkspaceError, match=r"no evalh\.toml") as caught:
        find_root(top)

    assert caught.value.hint == "evalh init"


@pytest.mark.parametrize(
    ("provider", "keys"),
    [
        ("openai", 'schema = "json_object"\nmax_tokens_name = "max_completion_tokens"'),
        ("anthropic", 'schema = "tool"'),
        ("gemini", 'schema = "none"'),
    ],
)
def test_what_a_hosted_provider_takes_may_be_written(tmp_path: Path, provider: str, keys: str) -> None:
    config = load(tmp_path, model(f'provider = "{provider}"\nmodel = "m"\n{keys}'))

    written = dict(line.split(" = ") for line in keys.splitlines())
    assert config.models["m"].options == {key: value.strip('"') for key, value in written.items()}


def test_a_script_may_have_a_default_and_take_its_time(tmp_path: Path) -> None:
    for body in ('default = "yes"\nlatency_ms = 5', 'table = {a = "b"}\ndefault = "yes"'):
        load(tmp_path, model(f'provider = "scripted"\n{body}'))
    assert "either" in refused(tmp_path, model('provider = "scripted"\nfunction = "a.py:f"\ndefault = "x"')).what
