"""Programs of a config that are kept run as they ran there: providers in files, assertions in Python and JavaScript."""

import shutil
from pathlib import Path

import pytest

from command_line import command_line

ASSERTS = """
  assert:
  - {type: python, value: "'REFUND' in output.upper()"}
  - {type: python, value: "words = output.split()\\nreturn {'pass': len(words) > 1, 'score': 0.5, 'reason': 'counted'}"}
  - {type: python, value: "file://check.py:long", threshold: 0.3, config: {least: 3}}
  - {type: javascript, value: "file://check.js", config: {word: refund}}
  - {type: javascript, value: "context.vars.q.length", threshold: 2}
"""
FILES = {
    "check.py": "def long(output, context):\n    return len(output) / (10 * context['config']['least'])\n",
    "check.js": "const { has } = require('./has');\nmodule.exports = (output, { config }) => has(output, config.word);\n",
    "has.js": "exports.has = (text, word) => text.toLowerCase().includes(word);\n",
    "provider.py": "async def call_api(prompt, options, context):\n"
    "    return {'output': options['config']['begin'] + prompt + context['vars']['q'], 'tokenUsage': {'prompt': 2}}\n",
    "provider.mjs": "export default class {\n  constructor(options) { this.begin = options.config.begin; }\n"
    "  async callApi(prompt, context) { return { output: this.begin + prompt + context.vars.q }; }\n}\n",
    "provider.sh": 'read -r line\nprintf "Echo: %s" "$line"\n',
}
PROVIDERS = {
    "echo": "echo",
    "python": "{id: 'file://provider.py', config: {begin: 'Say: '}}",
    "node": "{id: 'file://provider.mjs', config: {begin: 'Say: '}}",
    "shell": "'exec: sh provider.sh'",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("inside", [True, False], ids=["beside the config", "in another folder"])
@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_config_with_programs_runs(kind: str, inside: bool, project: Path, tmp_path: Path) -> None:
    if kind == "node" and shutil.which("node") is None:
        pytest.skip("needs node")
    if kind == "shell" and not inside:
        pytest.skip("an argument of a program is not copied")
    config = (
        f"prompts: ['A refund for {{{{q}}}}']\nproviders: [{PROVIDERS[kind]}]\ntests:\n- vars: {{q: order 7}}{ASSERTS}"
    )
    (project / "promptfooconfig.yaml").write_text(config)
    into = project if inside else tmp_path / "out"

    brought = command_line()(
        tmp_path, "import", "promptfoo", str(project), "--into", str(into), "--allow-code", "--name", "n"
    )
    assert brought.code == 0, brought.out + brought.err

    done = command_line()(into, "run", "n", "--json", timeout=60)
    assert done.code == 0, done.out + done.err
    assert '"good": 1' in done.out, command_line()(into, "show", "--last").out + done.out


def test_a_program_is_named_in_place_where_it_lies_in_the_workspace(project: Path) -> None:
    (project / "promptfooconfig.yaml").write_text(
        "prompts: [hi]\nproviders: [echo]\ntests: [{assert: [{type: javascript, value: file://check.js}]}]\n"
    )

    done = command_line()(project, "import", "promptfoo", ".", cwd=str(project))

    assert done.code == 0, done.err
    assert '{"file": "check.js"' in (project / "datasets/project.jsonl").read_text()
    assert not (project / "evals/imported/check.js").exists()
