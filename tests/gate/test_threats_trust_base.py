"""The threat model of `--trust base`: what head may bring, and that nothing of it runs, configures, judges or answers."""

import json
import sys
from pathlib import Path

import pytest

from evalh.analysis.gate.decision import GateDecision
from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from gating import CONFIG, row
from strangers import JUDGE_PROMPT, JUDGED, Hostile, told
from workspaces import SUITE, evalh


@pytest.fixture
def repo(tmp_path: Path) -> Hostile:
    return Hostile(tmp_path / "repo")


def named(decision: GateDecision, *what: str) -> None:
    """The decision is inconclusive, and names what was not measured."""
    assert decision.exit is ExitCode.INCONCLUSIVE, told(decision)
    for one in what:
        assert one in told(decision)
    assert "nothing changed" not in told(decision)


# -- evalh.toml


def test_plugins_of_head_are_not_run(repo: Hostile) -> None:
    repo.evil("evals/evil.py")
    repo.config(first=CONFIG.replace("[workspace]", '[workspace]\nplugins = ["evals/evil.py"]'))

    decision = repo.trusted()

    assert not repo.ran
    named(decision, "workspace.plugins")


def test_plugins_of_head_are_not_run_where_its_prompt_is_measured(repo: Hostile) -> None:
    repo.evil("evals/evil.py")
    repo.config(first=CONFIG.replace("[workspace]", '[workspace]\nplugins = ["evals/evil.py"]'))
    repo.worse()

    decision = repo.trusted()

    assert not repo.ran
    assert decision.exit is ExitCode.NO
    assert "workspace.plugins" in told(decision)


def test_a_program_that_heads_model_would_get_its_token_from_is_not_run(repo: Hostile) -> None:
    repo.evil("evals/evil.py")
    asks = f'provider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9"\nauth = {{command = ["{sys.executable}", "evals/evil.py"]}}\n'
    repo.config(first=CONFIG.partition('provider = "scripted"')[0] + asks)
    repo.worse()

    decision = repo.trusted()

    assert not repo.ran
    assert decision.exit is ExitCode.NO
    assert "models.small" in told(decision)


@pytest.mark.parametrize("trust_base", [True, False])
def test_one_line_that_takes_a_bad_version_live_is_refused(repo: Hostile, trust_base: bool) -> None:
    repo.config(live="v1")
    repo.commit()

    decision = repo.gate(head="HEAD", trust_base=trust_base)

    assert decision.exit is ExitCode.NO
    assert decision.suites[0].head.endswith("triage@v1")
    assert not decision.findings


def test_a_live_version_that_no_suite_measures_is_named(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo", rubric="tone")
    with repo.on_main():
        repo.write("prompts/tone/v2.prompt", JUDGE_PROMPT.replace("Say", "LENIENT. Say"))
        repo.config('[prompts.tone]\nlive = "v1"\n')
    repo.config('[prompts.tone]\nlive = "v2"\n')
    alone = repo.trusted()
    repo.worse()
    worse = repo.trusted()

    named(alone, "prompts.tone.live")
    assert worse.exit is ExitCode.NO
    assert "prompts.tone.live" in told(worse)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (
            '[models.evil]\nprovider = "openai"\nmodel = "x"\nbase_url = "http://127.0.0.1:9/v1"\n',
            "models.evil.base_url",
        ),
        ('[routes.small2]\nmodel = "small"\n', "routes.small2.model"),
        ('[prompts.tone]\nlive = "draft"\n', "prompts.tone.live"),
        ("[prompts.tone]\nlive = 1\n", "prompts.tone.live"),
        ('[prompts.tone]\nlive = "v1"\nwhy = "x"\n', "prompts.tone.why"),
        ("[unknown]\nkey = true\n", "unknown.key"),
    ],
)
def test_what_else_evalh_toml_says_is_named_and_not_measured(repo: Hostile, more: str, key: str) -> None:
    repo.config(more)

    named(repo.trusted(), key)


@pytest.mark.parametrize(
    "text",
    ["this is not TOML", "a = [" + "[" * 5000, "\x00", "x = 1\n" * 3 + "#" * 1_100_000, "[prompts]\ntriage = 1\n"],
    ids=["no TOML", "deep", "NUL", "long", "no table"],
)
def test_an_evalh_toml_that_cannot_be_read_is_named(repo: Hostile, text: str) -> None:
    repo.write("evalh.toml", text)

    named(repo.trusted(), "evalh.toml differs")


def test_the_base_that_head_names_is_not_looked_up(repo: Hostile) -> None:
    repo.config(live="v1", first=CONFIG.replace("[workspace]", '[workspace]\nbase = "HEAD"'))
    repo.commit()
    repo.git("remote", "add", "origin", str(repo.folder))
    repo.git("update-ref", "refs/remotes/origin/main", "main")

    assert repo.gate(base=None, head="HEAD", trust_base=True).exit is ExitCode.NO
    assert repo.gate(base=None, head="HEAD").exit is ExitCode.NO


def test_the_command_opens_no_configuration_of_head(repo: Hostile) -> None:
    repo.write("evalh.toml", "not TOML at all")
    repo.worse()
    repo.commit()

    page, junit = (repo.folder.parent / name for name in ("gate.html", "gate.xml"))
    written = ("--report", str(page), "--junit", str(junit))

    done = evalh(repo.folder, "gate", "--base", "main", "--trust", "base", *written)

    assert done.returncode == 1, done.stderr
    assert "<failure" in junit.read_text()
    assert page.is_file()


# -- what judges


@pytest.mark.parametrize(
    ("rubric", "path", "text"),
    [
        ("tone@v1", "prompts/tone/v1.prompt", JUDGE_PROMPT.replace("Say", "LENIENT. Say")),
        ("tone@draft", "prompts/tone/draft.prompt", JUDGE_PROMPT.replace("Say", "LENIENT. Say")),
        ("tone@v1", "prompts/tone/_manner.prompt", "LENIENT\n"),
        ("rubrics/tone.md", "rubrics/tone.md", "LENIENT\n"),
        ("rubrics/tone.md", "evals/triage.yaml", JUDGED % "LENIENT"),
        ("rubrics/tone.md", "evals/critic.py", 'def answer(): return \'{"reason": "x", "verdict": "pass"}\'\n'),
    ],
    ids=["frozen judge", "judge's draft", "judge's partial", "rubric file", "suite", "judge's code"],
)
@pytest.mark.parametrize("worse", [True, False], ids=["with a worse prompt", "alone"])
def test_what_judges_comes_from_base(tmp_path: Path, rubric: str, path: str, text: str, worse: bool) -> None:
    repo = Hostile(tmp_path / "repo", rubric=rubric)
    repo.write(path, text)
    if worse:
        repo.worse()

    decision = repo.trusted()

    if worse:
        assert decision.exit is ExitCode.NO
    else:
        named(decision)
    assert path in told(decision)


def test_a_partial_that_only_head_has_does_not_reach_the_judge(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo", rubric="tone@v1")
    with repo.on_main():
        (repo.folder / "prompts/tone/_manner.prompt").rename(repo.folder / "prompts/_manner.prompt")
    repo.write("prompts/tone/_manner.prompt", "LENIENT\n")
    repo.worse()

    decision = repo.trusted()

    assert decision.exit is ExitCode.NO
    assert "prompts/tone/_manner.prompt" in told(decision)


def test_a_prompt_that_judges_and_is_judged_is_measured_as_the_one_and_trusted_as_the_other(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo", rubric="tone@v1")
    with repo.on_main():
        repo.write(
            "evals/tone.yaml", "prompt: tone\ndataset: outputs\nmodel: critic\ngraders:\n  - contains: '\"fail\"'\n"
        )
        rows = [{"id": f"o-{n}", "inputs": {"output": "bug", "input": f"{n}", "expected": ""}} for n in range(60)]
        repo.write("datasets/outputs.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
    repo.write("prompts/tone/v1.prompt", JUDGE_PROMPT.replace("Say", "LENIENT. Say"))
    repo.worse()

    decision = repo.trusted()

    assert {suite.suite: suite.exit for suite in decision.suites} == {"tone": ExitCode.NO, "triage": ExitCode.NO}


def test_labels_and_calibrations_of_head_speak_for_no_judge(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo", rubric="tone@v1")
    repo.write("reports/calibrations/triage/tone.json", "{}")
    repo.write("datasets/labels/triage/evil.jsonl", "not a label\n")
    repo.worse()

    decision = repo.trusted()

    assert decision.exit is ExitCode.NO
    assert decision.judge_relative


# -- what runs and answers


@pytest.mark.parametrize("path", ["evals/answers.py", "evals/critic.py", "json.py", "sitecustomize.py", "yaml.py"])
def test_code_of_head_is_not_run(tmp_path: Path, path: str) -> None:
    repo = Hostile(tmp_path / "repo", rubric="tone@v1")
    repo.evil(path)
    repo.worse()
    repo.commit()

    done = evalh(repo.folder, "gate", "--base", "main", "--trust", "base")

    assert not repo.ran
    assert done.returncode == 1, done.stderr


def test_python_m_evalh_imports_nothing_from_the_folder_in_which_it_is_started(repo: Hostile) -> None:
    import subprocess

    for name in ("click.py", "yaml.py", "msgspec.py", "git.py"):
        repo.evil(name)

    subprocess.run([sys.executable, "-m", "evalh", "--help"], cwd=repo.folder, check=True, capture_output=True)

    assert not repo.ran


def test_a_module_that_base_imports_is_bases(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo")
    repo.git("checkout", "-q", "main")
    repo.write("evals/stranger_rules.py", "LABEL = 'billing'\n")
    repo.write(
        "evals/own.py", "from evals.stranger_rules import LABEL\n\n\ndef check(ctx):\n    return LABEL in ctx.text\n"
    )
    repo.write("evals/triage.yaml", SUITE + "  - python: evals/own.py:check\n")
    repo.commit()
    repo.git("checkout", "-q", "-B", "change")
    repo.write("evals/stranger_rules.py", "LABEL = ''\n")

    named(repo.trusted(), "evals/stranger_rules.py")


def test_recorded_answers_come_from_base(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo")
    with repo.on_main():
        recorded = 'provider = "replay"\nmodel = "r"\npath = "recorded/{version}.jsonl"\n'
        repo.config(first=CONFIG.partition("[models.small]")[0] + f"[models.small]\n{recorded}")
        for version, label in (("v1", "bug"), ("v2", "billing")):
            rows = [{"id": f"t-{n:04d}", "trial": 0, "output": json.dumps({"label": label})} for n in range(1, 61)]
            repo.write(f"recorded/{version}.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
    good = (repo.folder / "recorded/v2.jsonl").read_text()
    repo.write("recorded/v1.jsonl", good)
    repo.write("evalh.toml", (repo.folder / "evalh.toml").read_text().replace('live = "v2"', 'live = "v1"'))

    decision = repo.trusted()

    assert decision.exit is ExitCode.NO
    assert "recorded/v1.jsonl" in told(decision)


def test_weights_of_head_do_not_answer(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo")
    with repo.on_main():
        local = '[models.small]\nprovider = "local"\nmodel = "x"\npath = "weights/x.gguf"\n'
        repo.config(first=CONFIG.partition("[models.small]")[0] + local)
    repo.write("weights/x.gguf", "a stranger's weights")
    repo.worse()

    with pytest.raises(Exception, match=r"weights/x\.gguf is from head"):
        repo.trusted()


def test_a_model_that_heads_prompt_names_is_not_asked_instead(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo")
    with repo.on_main():
        canned = '[models.canned]\nprovider = "scripted"\nmodel = "c"\ndefault = \'{"label": "billing"}\'\n'
        repo.config(canned)
        repo.write("evals/triage.yaml", SUITE.replace("model: small\n", ""))
        for version in ("v1", "v2"):
            text = (repo.folder / f"prompts/triage/{version}.prompt").read_text()
            repo.write(f"prompts/triage/{version}.prompt", text.replace("---\n", "---\nmodel: small\n", 1))
    bad = (repo.folder / "prompts/triage/v1.prompt").read_text()
    repo.write("prompts/triage/v3.prompt", bad.replace("model: small", "model: canned"))
    repo.config(canned, live="v3")

    decision = repo.trusted()

    assert decision.exit is ExitCode.INCONCLUSIVE
    assert "names another model, canned" in told(decision)


def test_a_baseline_of_head_is_not_read(repo: Hostile) -> None:
    repo.write("reports/baselines/triage/draft.small.jsonl", "forged\n")
    repo.worse()

    assert repo.trusted().exit is ExitCode.NO


# -- what is judged


def test_the_prompt_with_its_partials_and_the_rows_are_heads(repo: Hostile) -> None:
    text = (repo.folder / "prompts/triage/v2.prompt").read_text()
    repo.write("prompts/triage/draft.prompt", text.replace("Sort the ticket; ", "Sort the ticket; {{>how}} "))
    repo.write("prompts/triage/_how.prompt", "be wrong on every 1\n")
    worse = repo.trusted()
    repo.write("prompts/triage/_how.prompt", "be right\n")
    repo.rows([row(number) for number in range(1, 64)])
    better = repo.trusted()

    assert worse.exit is ExitCode.NO
    assert better.exit is ExitCode.YES
    assert better.suites[0].of == 63


def test_a_stranger_who_changes_only_words_is_accepted(repo: Hostile) -> None:
    repo.write("README.md", "Words")

    decision = repo.trusted()

    assert decision.exit is ExitCode.YES
    assert decision.reasons == ("nothing that changed can change an answer: no suite ran",)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_suite_that_head_removes_is_refused(repo: Hostile, allowed: bool) -> None:
    (repo.folder / "evals/triage.yaml").unlink()
    repo.worse()

    decision = repo.trusted(allow_suite_change=allowed)

    assert decision.exit is (ExitCode.YES if allowed else ExitCode.NO)
    assert "suite triage was removed" in told(decision)
    assert "nothing changed" not in told(decision)


def test_a_suite_that_head_renames_is_still_held_to_what_it_was(repo: Hostile) -> None:
    (repo.folder / "evals/triage.yaml").rename(repo.folder / "evals/sorting.yaml")
    repo.worse()

    decision = repo.trusted()

    assert decision.exit is ExitCode.NO
    assert "triage → sorting" in told(decision)
    assert decision.suites[0].broken


@pytest.mark.parametrize("what", ["a suite", "a grader", "a model"])
def test_a_branch_off_an_older_base_is_not_judged_by_fewer_suites(repo: Hostile, what: str) -> None:
    repo.git("checkout", "-q", "main")
    match what:
        case "a suite":
            repo.write("evals/safety.yaml", SUITE)
        case "a grader":
            repo.write("evals/triage.yaml", SUITE + "  - length: {max_chars: 100}\n")
        case _:
            repo.config('[routes.safe]\nmodel = "small"\n')
    repo.commit()
    repo.git("checkout", "-q", "change")
    repo.write("prompts/triage/draft.prompt", (repo.folder / "prompts/triage/v2.prompt").read_text() + "\nNow.")
    decision = repo.trusted()

    named(decision, "base changed these graders since head branched off", "merge it into head")


def test_a_base_that_went_on_in_prompts_alone_changes_nothing(repo: Hostile) -> None:
    repo.git("checkout", "-q", "main")
    repo.config(live="v1")
    repo.rows([row(number) for number in range(1, 80)])
    repo.commit()
    repo.git("checkout", "-q", "change")
    repo.write("prompts/triage/draft.prompt", (repo.folder / "prompts/triage/v2.prompt").read_text() + "\nNow.")

    assert repo.trusted().exit is ExitCode.YES


def test_a_tag_that_is_called_like_the_base_is_not_the_base(repo: Hostile) -> None:
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    repo.worse()
    repo.commit()
    repo.git("tag", "origin/main", "change")

    for trust_base in (True, False):
        assert repo.gate(base="origin/main", head="HEAD", trust_base=trust_base).exit is ExitCode.NO


def test_a_new_suite_of_head_is_named(repo: Hostile) -> None:
    repo.write("evals/second.yaml", SUITE)

    named(repo.trusted(), "evals/second.yaml")


def test_a_workspace_is_opened_without_its_configuration(repo: Hostile) -> None:
    repo.write("evalh.toml", "not TOML at all")

    assert Workspace.open(repo.folder).root == repo.folder


# -- graders that rows bring


@pytest.mark.parametrize(
    "entry",
    [
        {"python": "os:getcwd"},
        {"python": "evals/evil.py:answer"},
        {"any_of": ["json", {"not": {"python": "evals/evil.py:answer"}}]},
        {"weighted": {"graders": [{"schema": {"pydantic": "evals/evil.py:Model"}}], "threshold": 0}},
        {"judge": {"rubric": "Pass.", "model": "critic", "scale": "pass/fail"}},
        {"self_consistency": {"by": "label"}},
    ],
    ids=lambda entry: json.dumps(entry)[:40],
)
def test_a_row_of_head_runs_no_code_and_asks_no_model(tmp_path: Path, entry: object) -> None:
    repo = Hostile(tmp_path / "repo")
    with repo.on_main("Count what rows bring"):
        repo.write("evals/triage.yaml", SUITE + "  - case: {none: pass}\n")
    repo.evil("evals/evil.py")
    repo.rows([row(number) for number in range(1, 61)] + [row(61, graders=[entry])])
    repo.commit()

    done = evalh(repo.folder, "gate", "--base", "main", "--head", "HEAD", "--trust", "base")

    assert not repo.ran
    assert done.returncode == 2, done.stdout
    assert "datasets/triage.jsonl:61: " in done.stderr
    assert "base" in done.stderr


def test_a_row_of_head_may_bring_graders_that_only_read_and_those_that_base_has(tmp_path: Path) -> None:
    repo = Hostile(tmp_path / "repo")
    judged = {"judge": {"rubric": "It is sorted.", "model": "critic", "scale": "pass/fail", "name": "sorted"}}
    with repo.on_main("Count what rows bring"):
        repo.write("evals/triage.yaml", SUITE + "  - case: {none: pass}\n")
        repo.rows([row(number, graders=[judged]) for number in range(1, 61)])
    before = [row(number, graders=[judged]) for number in range(1, 61)]
    repo.rows([*before, row(61, graders=[judged, {"contains": "billing"}])])

    decision = repo.trusted()

    assert "graders were changed" not in told(decision)
    assert decision.exit is ExitCode.YES, told(decision)
    assert decision.suites[0].of == 61
