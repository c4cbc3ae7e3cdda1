"""Templates: what evalh fills while importing is what Nunjucks filled, or is refused by name."""

import json
from pathlib import Path

import pytest

from command_line import command_line
from evalh.interop.foreign.promptfoo.nunjucks import NotRenderedError, is_left_alone, js_text, render, translated

RECORDED = json.loads((Path(__file__).parents[1] / "recorded/promptfoo/templates.json").read_text(encoding="utf-8"))
ORDER = "an object's keys come in alphabetical order"
REFUSED = {
    "{{ name | truncate(5) }}",
    "{{ env.HOME }}",
    "{{ name | nosuch }}",
    "{% include 'x' %}",
    "{{ items | reverse }}",
    "{{ half | round }}",
    "{{ items | sort }}",
    "{{ name | escape }}",
}
STAND_IN = """
window.nunjucks = {Environment: function () {
  this.addGlobal = () => {};
  this.renderString = (text, values) => {
    if (text.includes("{%")) throw new Error("no logic");
    return text.replace(/{{\\s*(\\w+)\\s*}}/g, (whole, name) => values[name] ?? "");
  };
}};
"""


def test_what_is_filled_is_what_nunjucks_filled() -> None:
    differ, refused = [], set()
    for template, theirs in RECORDED["texts"].items():
        if is_left_alone(template):  # promptfoo does not hand it to Nunjucks
            continue
        try:
            ours = render(template, RECORDED["values"])
        except NotRenderedError:
            refused.add(template)
            continue
        if ours != theirs and ORDER not in translated(template).near:
            differ.append((template, theirs, ours))

    assert differ == []
    assert refused == REFUSED


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (1e21, "1e+21"), (1e-7, "1e-7"), (None, ""), ([1, [None, "a"]], "1,,a"), ({}, "[object Object]"), (True, "true")],
)  # fmt: skip
def test_values_are_written_as_javascript_writes_them(value: object, text: str) -> None:
    assert js_text(value) == text


@pytest.mark.parametrize("count", [1_000, 30_000])
def test_a_template_of_openings_is_read_in_one_pass(count: int) -> None:
    for text in ("{{" * count, "{%" * count, "{{ x " * count, "{{ x }}" * count, "{# " * count):
        render(text, {"x": "y"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "node_modules/nunjucks/browser").mkdir(parents=True)
    (folder / "node_modules/nunjucks/browser/nunjucks.min.js").write_text(STAND_IN)
    (folder / "promptfooconfig.yaml").write_text(
        "prompts:\n"
        "- 'Say {{x}} and {{missing}}'\n"
        '- \'[{"role": "system", "content": "Be {{x}}"}, {"role": "user", "content": "{{ x }}"}]\'\n'
        "- '{% if x %}{{ x }}{% endif %}'\n"
        "providers: [echo]\n"
        "tests: [{vars: {x: kind}}, {vars: {x: [a, b]}}]\n"
    )
    return folder


def test_verify_compares_every_prompt_and_test_with_the_engine_beside_the_config(project: Path) -> None:
    done = command_line()(
        project, "import", "promptfoo", str(project), "--verify", "--json", "--into", str(project / "out")
    )

    found = {
        item["what"]: item["why"]
        for item in done.document["items"]
        if "Nunjucks gives" in (item["why"] or "") or "compared" in item["what"]
    }
    assert found.pop("compared with Nunjucks") == "6 of 9 prompts with their tests are what Nunjucks renders"
    assert len(found) == 3
    assert all("gives 'an error: no logic', evalh '" in why for why in found.values())


def test_verify_says_how_to_get_the_engine(tmp_path: Path) -> None:
    (tmp_path / "promptfooconfig.yaml").write_text("prompts: ['{{x}}']\nproviders: [echo]\ntests: [{vars: {x: 1}}]\n")

    done = command_line()(tmp_path, "import", "promptfoo", ".", "--verify", cwd=str(tmp_path))

    assert done.code == 2
    assert "--verify needs Nunjucks, which is not here" in done.err
    assert "npm install nunjucks" in done.err


@pytest.mark.parametrize("code", ["for (;;) {}", "throw new Error('no')", "}{", "window.nunjucks = 1"])
def test_what_is_not_nunjucks_is_refused(project: Path, code: str) -> None:
    (project / "node_modules/nunjucks/browser/nunjucks.min.js").write_text(code)

    done = command_line()(project, "import", "promptfoo", ".", "--verify", cwd=str(project))

    assert done.code == 2
    assert "cannot be used as Nunjucks" in done.err
