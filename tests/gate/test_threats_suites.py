"""What a suite is does not hang on its file's name, and nothing of head lowers a suite's bar without a word."""

from pathlib import Path

import pytest

from evalh.core.errors import EvalhError, ExitCode
from gating import ANSWERS, CONFIG, PROMPT, Repo, row
from strangers import suite, told
from workspaces import SUITE, evalh

COST = "gate:\n  cost_per_good: {may_rise: 0.1}\n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo", cases=60, wrong=1000)
    made.git("remote", "add", "origin", str(made.folder))
    made.git("update-ref", "refs/remotes/origin/main", "main")
    return made


def worse(repo: Repo) -> None:
    repo.prompt(wrong=1)


def refused(repo: Repo, *what: str, **options: object) -> None:
    """Both the work tree and the commit are refused; the message says why."""
    decisions = [repo.gate(**options)]
    repo.commit()
    decisions.append(repo.gate(head="HEAD", **options))
    for decision in decisions:
        assert decision.exit is ExitCode.NO, told(decision)
        assert "nothing changed" not in told(decision)
        for one in what:
            assert one in told(decision)


# -- a suite's identity


def move(repo: Repo, old: str, new: str) -> None:
    place = repo.folder / new
    place.parent.mkdir(parents=True, exist_ok=True)
    (repo.folder / old).rename(place)


def test_a_renamed_suite_is_compared_with_what_it_was(repo: Repo) -> None:
    move(repo, "evals/triage.yaml", "evals/sorting.yaml")
    worse(repo)

    refused(repo, "the suite was renamed: triage → sorting", "shown to be worse")


def test_a_suite_that_is_only_renamed_is_accepted(repo: Repo) -> None:
    move(repo, "evals/triage.yaml", "evals/sorting.yaml")

    assert repo.gate().exit is ExitCode.YES


def test_a_renamed_suite_can_be_asked_for_by_either_name(repo: Repo) -> None:
    move(repo, "evals/triage.yaml", "evals/sorting.yaml")
    worse(repo)

    assert repo.gate(suites=("triage",)).exit is repo.gate(suites=("sorting",)).exit is ExitCode.NO


def test_a_suite_that_is_renamed_and_edited_is_compared_with_what_it_was(repo: Repo) -> None:
    (repo.folder / "evals/triage.yaml").unlink()
    repo.write("evals/other.yaml", "description: x\nowner: me\n" + suite().replace("  - schema\n", "") + "trials: 1\n")
    worse(repo)

    refused(repo, "triage → other", "graders were removed: schema", "shown to be worse")


def test_a_renamed_suite_cannot_bring_a_bar_of_its_own(repo: Repo) -> None:
    (repo.folder / "evals/triage.yaml").unlink()
    repo.write("evals/other.yaml", SUITE + "gate:\n  good_rate: {at_least: 0}\n")
    worse(repo)

    refused(repo, "shown to be worse", "policy changed")


def test_a_suite_whose_prompt_and_dataset_are_renamed_too_is_found_by_its_lines(repo: Repo) -> None:
    move(repo, "prompts/triage", "prompts/sorting")
    move(repo, "datasets/triage.jsonl", "datasets/sorting.jsonl")
    (repo.folder / "evals/triage.yaml").unlink()
    repo.write("evals/sorting.yaml", suite("sorting", "sorting"))
    repo.write("prompts/sorting/draft.prompt", PROMPT.format(wrong=1, description="x"))

    refused(repo, "triage → sorting", "shown to be worse")


def test_a_suite_of_which_nothing_is_left_is_removed_and_a_new_one_has_no_rule(repo: Repo) -> None:
    move(repo, "prompts/triage", "prompts/sorting")
    (repo.folder / "evals/triage.yaml").unlink()
    graders = "graders:\n  - length: {max_chars: 100}\n  - json\ngate:\n  good_rate: {at_least: 0}\n"
    repo.write(
        "evals/sorting.yaml", f"owner: me\nprompt: sorting\ndataset: datasets/triage.jsonl\nmodel: small\n{graders}"
    )

    refused(repo, "suite triage was removed")


@pytest.mark.parametrize("suites", [(), ("triage",)])
def test_a_removed_suite_is_refused_until_somebody_says_so(repo: Repo, suites: tuple[str, ...]) -> None:
    (repo.folder / "evals/triage.yaml").unlink()
    worse(repo)

    refused(repo, "suite triage was removed", "--allow-suite-change", suites=suites)
    allowed = repo.gate(head="HEAD", suites=suites, allow_suite_change=True)
    assert allowed.exit is ExitCode.YES
    assert "suite triage was removed" in allowed.reasons[0]
    assert "nothing changed" not in told(allowed)


def test_a_removed_suite_is_a_failed_test_in_junit_and_no_suite_at_all_is_a_passed_one(repo: Repo) -> None:
    junit = repo.folder.parent / "gate.xml"
    before = evalh(repo.folder, "gate", "--base", "main", "--junit", str(junit))
    unchanged = junit.read_text()
    (repo.folder / "evals/triage.yaml").unlink()
    after = evalh(repo.folder, "gate", "--base", "main", "--junit", str(junit))

    assert (before.returncode, after.returncode) == (0, 1)
    assert 'tests="1" failures="0"' in unchanged
    assert 'tests="1" failures="1"' in junit.read_text()
    assert "suite triage was removed" in after.stdout


@pytest.mark.parametrize("name", ["triage.yml", "deeper/triage.yaml", "triage.yaml.off"])
def test_a_suite_file_that_no_run_would_read_is_a_removed_suite(repo: Repo, name: str) -> None:
    move(repo, "evals/triage.yaml", f"evals/{name}")
    worse(repo)

    refused(repo, "suite triage was removed")


@pytest.mark.parametrize("text", ["", "\x00", "prompt: [", "prompt: triage\n"])
def test_a_suite_that_cannot_be_read_is_never_accepted(repo: Repo, text: str) -> None:
    repo.write("evals/triage.yaml", text)
    worse(repo)

    with pytest.raises(EvalhError) as caught:
        repo.gate()

    assert caught.value.exit_code is ExitCode.USAGE


def test_a_suite_that_is_split_leaves_no_case_behind_unseen(repo: Repo) -> None:
    (repo.folder / "evals/triage.yaml").unlink()
    lines = (repo.folder / "datasets/triage.jsonl").read_text().splitlines(keepends=True)
    for number, half in enumerate((lines[:30], lines[30:])):
        repo.write(f"datasets/half{number}.jsonl", "".join(half))
        repo.write(f"evals/half{number}.yaml", suite(dataset=f"half{number}"))

    refused(repo, "30 deleted")


def test_a_suite_that_is_pointed_to_another_prompt_leaves_its_own_unguarded(repo: Repo) -> None:
    with repo.on_main():
        repo.write("prompts/other/v1.prompt", PROMPT.format(wrong=1000, description="x"))
    repo.write("evals/triage.yaml", suite("other"))
    worse(repo)

    refused(repo, "no gate covers triage any more")


def test_a_prompt_that_is_renamed_with_its_suite_needs_no_word(repo: Repo) -> None:
    move(repo, "prompts/triage", "prompts/sorting")
    repo.write("evals/triage.yaml", suite("sorting"))

    assert repo.gate().exit is ExitCode.YES


def test_another_folder_of_suites_hides_none(repo: Repo) -> None:
    repo.write("evalh.toml", CONFIG.replace("[workspace]", '[workspace]\nevals = "checks"'))
    worse(repo)

    refused(repo, "suite triage was removed")


def test_suites_that_move_to_another_folder_are_still_held(repo: Repo) -> None:
    repo.write("evalh.toml", CONFIG.replace("[workspace]", '[workspace]\nevals = "checks"'))
    move(repo, "evals/triage.yaml", "checks/triage.yaml")
    worse(repo)

    refused(repo, "shown to be worse")


def test_without_a_default_suite_everything_is_still_gated(repo: Repo) -> None:
    repo.write("evalh.toml", CONFIG.replace('default_suite = "triage"\n', ""))
    worse(repo)

    refused(repo, "shown to be worse")


# -- a workspace's identity


@pytest.fixture
def mono(tmp_path: Path) -> Repo:
    """A repository whose workspace lies in apps/a."""
    made = Repo(tmp_path / "mono", cases=60, wrong=1000)
    with made.on_main():
        for name in ("evalh.toml", "evals", "prompts", "datasets"):
            move(made, name, f"apps/a/{name}")
    return made


def inside(repo: Repo, folder: str) -> Repo:
    """The same repository, started in a folder of it."""
    there = Repo.__new__(Repo)
    there.folder = repo.folder / folder
    return there


@pytest.mark.parametrize("trust_base", [False, True])
def test_a_workspace_that_is_moved_is_compared_with_what_it_was(mono: Repo, trust_base: bool) -> None:
    move(mono, "apps/a", "services/b")
    there = inside(mono, "services/b")
    worse(there)

    refused(there, "the workspace was moved: apps/a/ → services/b/", "shown to be worse", trust_base=trust_base)


def test_a_workspace_that_is_only_moved_is_accepted(mono: Repo) -> None:
    move(mono, "apps/a", "services/b")

    decision = inside(mono, "services/b").gate()

    assert decision.exit is ExitCode.YES
    assert decision.unchanged == ("triage",)


def test_a_workspace_that_leaves_a_stub_behind_is_still_the_moved_one(mono: Repo) -> None:
    move(mono, "apps/a", "services/b")
    mono.write("apps/a/evalh.toml", "")
    there = inside(mono, "services/b")
    worse(there)

    refused(there, "the workspace was moved", "shown to be worse")


def test_a_workspace_that_goes_leaves_its_suites_to_be_answered_for(mono: Repo) -> None:
    move(mono, "apps/a/evalh.toml", "evalh.toml")
    mono.write("apps/a/README.md", "still here")

    refused(inside(mono, "apps/a"), "the workspace apps/a/ is gone", "suite triage was removed")


@pytest.mark.parametrize("started", ["apps/a/deeper", "apps/a/deeper/still"])
def test_a_workspace_that_is_put_in_front_of_another_hides_no_suite(mono: Repo, started: str) -> None:
    mono.write("apps/a/deeper/evalh.toml", CONFIG)
    mono.write("apps/a/deeper/evals/answers.py", ANSWERS)
    mono.write("apps/a/deeper/still/README.md", "here")
    worse(inside(mono, "apps/a"))

    refused(inside(mono, started), "hides apps/a/", "suite triage was removed")


def test_a_lenient_workspace_that_is_moved_in_front_of_another_hides_no_suite(mono: Repo) -> None:
    with mono.on_main():
        for path, text in (
            ("evalh.toml", CONFIG),
            ("evals/answers.py", ANSWERS),
            ("evals/x.yaml", suite()),
            ("prompts/triage/v1.prompt", PROMPT.format(wrong=1000, description="x")),
            ("datasets/triage.jsonl", '{"id": "t-1", "inputs": {"ticket": "1"}, "expected": {"label": "billing"}}\n'),
        ):
            mono.write(f"examples/{path}", text)
    move(mono, "examples", "apps/a/app")
    worse(inside(mono, "apps/a"))

    refused(inside(mono, "apps/a/app"), "the workspace was moved: examples/", "the workspace apps/a is another one")


def test_a_workspace_that_is_moved_and_has_nothing_in_common_is_refused(mono: Repo) -> None:
    import shutil

    shutil.rmtree(mono.folder / "apps")
    mono.write("new/evalh.toml", CONFIG.replace("evals/answers.py", "code/answers.py"))
    mono.write("new/code/answers.py", ANSWERS)
    mono.write("new/evals/x.yaml", suite("x", "x") + "gate:\n  good_rate: {at_least: 0}\n")
    mono.write("new/prompts/x/v1.prompt", PROMPT.format(wrong=1, description="x"))
    mono.write("new/datasets/x.jsonl", '{"id": "t-1", "inputs": {"ticket": "1"}, "expected": {"label": "billing"}}\n')

    refused(inside(mono, "new"), "the workspace apps/a is another one")


# -- a suite's bar


def test_a_share_of_ungraded_samples_is_the_merge_bases(repo: Repo) -> None:
    repo.write("evals/triage.yaml", SUITE + "max_ungraded: 1.0\n")
    repo.write("evals/answers.py", "def answer(request, case_id, trial):\n    raise RuntimeError('down')\n")
    worse(repo)

    assert repo.gate().exit is ExitCode.CANNOT_MEASURE


def test_fewer_trials_hold_only_when_they_are_merged(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=30, wrong=1000, gate="trials: 3\n")
    repo.write("evals/triage.yaml", SUITE)
    repo.prompt(wrong=900)

    decision = repo.gate()

    (one,) = decision.suites
    assert one.comparison is not None
    assert one.comparison.head.samples == 3 * one.stopped_at
    assert "the merge base's 3 hold" in told(decision)


@pytest.mark.parametrize(
    ("graders", "why"),
    [
        ("  - schema\n  - equals: {path: label, expected: label, required: false}\n", "no longer required: equals"),
        ("  - schema\n", "graders were removed: equals"),
        ("  - schema\n  - equals: {path: label, expected: wrong}\n", "graders were changed: equals"),
    ],
)
def test_graders_that_are_eased_need_a_word(repo: Repo, graders: str, why: str) -> None:
    repo.write("evals/triage.yaml", SUITE.partition("  - schema")[0] + graders)
    worse(repo)

    refused(repo, why, "--allow-suite-change")


def test_a_grader_that_fails_everything_does_not_hide_what_got_worse(repo: Repo) -> None:
    repo.write("evals/triage.yaml", SUITE + "  - contains: nowhere\n")
    worse(repo)

    refused(repo, "equals")


@pytest.mark.parametrize("how", ["plugin", "function"])
def test_code_of_graders_that_is_changed_needs_a_word(repo: Repo, how: str) -> None:
    code = "from evalh import Verdict, grader\n\n\n@grader('own')\ndef own(ctx):\n    return Verdict.check(%s, 'x')\n\n\ndef check(ctx):\n    return %s\n"
    right = "'billing' in ctx.text"
    with repo.on_main():
        repo.write("evals/own.py", code % (right, right))
        entry = "own" if how == "plugin" else "python: evals/own.py:check"
        repo.write("evals/triage.yaml", SUITE.partition("  - schema")[0] + f"  - {entry}\n")
        if how == "plugin":
            repo.write("evalh.toml", CONFIG.replace("[workspace]", '[workspace]\nplugins = ["evals/own.py"]'))
    repo.write("evals/own.py", code % ("True", "True"))
    alone = repo.gate()
    worse(repo)

    assert alone.exit is ExitCode.NO
    refused(repo, "the code of graders was changed: evals/own.py")


def test_a_tag_that_made_a_case_pass_is_a_rewritten_case(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=5, wrong=1000, gate="gate:\n  must_pass: {tags: [must]}\n")
    with repo.on_main():
        repo.rows([row(number, tags=["must"]) for number in range(1, 61)])
    repo.rows([row(number, tags=["must"] if number != 30 else []) for number in range(1, 61)])
    repo.prompt(wrong=30)

    refused(repo, "rewritten (t-0030)")


def test_a_failing_case_that_is_given_the_tag_incident_is_a_rewritten_case(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60, wrong=1000)
    repo.rows([row(number, **({"tags": ["incident"]} if number == 30 else {})) for number in range(1, 61)])
    repo.prompt(wrong=30)

    refused(repo, "rewritten (t-0030)")


def test_an_incident_ties_no_cases_together(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60, wrong=1000)
    found = [row(number, cluster=f"c-{number}") for number in range(1, 61)]
    with repo.on_main():
        repo.rows(found)
    tying = {"tags": ["incident"], "inputs": found[0]["inputs"], "cluster": "c-2"}
    repo.rows([*found, row(61, **tying)])
    repo.prompt(wrong=999)

    (suite,) = repo.gate().suites

    assert [finding.rule for finding in suite.findings] == ["good"]
    assert suite.comparison is not None
    assert suite.comparison.clusters == suite.comparison.n


def test_another_image_is_another_case(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=5)
    with repo.on_main():
        prompt = PROMPT.format(wrong=1000, description="x").replace(
            "{ticket: string}", "{ticket: string, photo: string}"
        )
        repo.write("prompts/triage/draft.prompt", prompt + "{{media url=photo}}\n")
        rows = [row(number) for number in range(1, 6)]
        for one in rows:
            one["inputs"] = {"ticket": "x", "photo": f"media/{one['id']}.txt"}
            repo.write(f"media/{one['id']}.txt", "a hard one")
        repo.rows(rows)
    repo.write("media/t-0003.txt", "an easy one")
    repo.write("media/t-0004.exe", "nobody names it")

    refused(repo, "1 rewritten (t-0003)")
    assert repo.gate(head="HEAD", trust_base=True).exit is ExitCode.NO


def test_rows_that_thin_out_a_drop_need_a_word(repo: Repo) -> None:
    repo.rows([row(number) for number in range(1, 1001)])
    repo.write("evals/answers.py", ANSWERS.replace("wrong = told", "wrong = number <= 60 and told"))
    repo.commit()
    repo.git("branch", "-f", "main")
    repo.rows([row(number) for number in range(1, 61)])
    repo.commit()
    repo.git("branch", "-f", "main")
    repo.rows([row(number) for number in range(1, 1001)])
    worse(repo)

    refused(repo, "940 added to 60", "--allow-dataset-change")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("gate: {good_rate: {at_least: 0.9}}\n", "", "gate.good_rate"),
        ("gate: {require: no_worse}\n", "", "gate.require"),
        ("", "gate: {margin: 0.3}\n", "gate.margin"),
        ("", "gate: {discordance: 1.0}\n", "gate.discordance"),
        ("gate: {doubt: refuse}\n", "", "gate.doubt"),
        ("gate: {doubt: inconclusive}\n", "gate: {doubt: accept}\n", "gate.doubt"),
        ("gate: {must_pass: {cases: [t-0001, t-0002]}}\n", "gate: {must_pass: {cases: [t-0001]}}\n", "gate.must_pass"),
        ("gate: {never: [equals]}\n", "gate: {never: {equals: 0.5}}\n", "gate.never.equals"),
        ("gate: {graders: {equals: {}}}\n", "", "gate.graders.equals"),
        ("gate: {latency_p95: {may_rise: 0.1}}\n", "gate: {latency_p95: {may_rise: 9}}\n", "gate.latency_p95"),
        ("", "gate: {canary: 0}\n", "gate.canary"),
        ("trials: 3\n", "", "trials"),
        ("", "max_ungraded: 0.9\n", "max_ungraded"),
        ("baseline: {max_age: 30d}\n", "", "baseline.max_age"),
    ],
)
def test_a_bar_that_is_lowered_for_the_next_change_needs_a_word(tmp_path: Path, old: str, new: str, key: str) -> None:
    repo = Repo(tmp_path / "repo", cases=5, gate=old)
    repo.write("evals/triage.yaml", SUITE + new)
    lowered, allowed = repo.gate(), repo.gate(allow_suite_change=True)
    repo.write("evals/triage.yaml", SUITE + old + "description: words\n")

    assert (lowered.exit, allowed.exit) == (ExitCode.INCONCLUSIVE, ExitCode.YES)
    assert key in told(lowered)
    assert "nothing changed" not in told(lowered) + told(allowed)
    assert repo.gate().exit is ExitCode.YES


@pytest.mark.parametrize("trust_base", [True, False])
def test_a_case_that_must_pass_and_is_not_there_is_named(tmp_path: Path, trust_base: bool) -> None:
    repo = Repo(tmp_path / "repo", cases=5, wrong=1000, gate="gate: {must_pass: {cases: [t-0001, t-0006]}}\n")
    repo.prompt(wrong=999)
    repo.commit()

    decision = repo.gate(head="HEAD", trust_base=trust_base)
    check = evalh(repo.folder, "check")

    assert decision.exit is ExitCode.INCONCLUSIVE
    assert "must_pass names cases or tags that this dataset does not have: t-0006" in told(decision)
    assert repo.gate(allow_suite_change=True).exit is ExitCode.YES
    assert check.returncode == 2
    assert "must_pass names case 't-0006', which is not in dataset triage" in check.stdout


def test_a_tag_that_must_pass_and_no_case_has_is_named_by_check_and_gate(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=5, wrong=1000, gate="gate:\n  must_pass: {tags: [tickt], trials: 2}\n")
    with repo.on_main():
        repo.rows([row(number, tags=["ticket"]) for number in range(1, 6)])
    repo.prompt(wrong=999)
    repo.commit()

    decision = repo.gate(head="HEAD")
    check = evalh(repo.folder, "check")

    assert decision.exit is ExitCode.INCONCLUSIVE
    assert "must_pass matches no case of this dataset (tags: tickt)" in told(decision)
    assert check.returncode == 2
    line = SUITE.count("\n") + 2
    what = "must_pass names the tag 'tickt', which no case of dataset triage has"
    assert f"evals/triage.yaml:{line}: {what}\n  did you mean 'ticket'?" in check.stdout + check.stderr


@pytest.mark.parametrize(("tags", "exit_code"), [("[incident]", 2), ("[incident, ticket]", 0), ("[ticket]", 0)])
def test_a_rule_may_wait_for_the_first_incident_beside_other_tags(tmp_path: Path, tags: str, exit_code: int) -> None:
    repo = Repo(tmp_path / "repo", cases=5, gate=f"gate: {{must_pass: {{tags: {tags}}}}}\n")
    repo.rows([row(number, tags=["ticket"]) for number in range(1, 6)])

    assert evalh(repo.folder, "check").returncode == exit_code


def test_a_bar_that_is_raised_needs_no_word(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=5, gate="gate: {good_rate: {at_least: 0.5}}\n")
    repo.write("evals/triage.yaml", SUITE + "trials: 2\ngate: {good_rate: {at_least: 0.9}, never: [schema]}\n")

    assert repo.gate().exit is ExitCode.YES


def test_a_price_that_head_lowers_holds_no_rule(tmp_path: Path) -> None:
    price = "price = {input = 1.0, output = 1.0}\n"
    repo = Repo(tmp_path / "repo", cases=60, wrong=1000, gate=COST)
    with repo.on_main():
        repo.write("evalh.toml", CONFIG + price)
    repo.write("evalh.toml", CONFIG + price.replace("1.0", "0.1"))
    repo.prompt(wrong=999, description="x" * 10)

    decision = repo.gate()

    assert decision.exit is ExitCode.INCONCLUSIVE
    assert "the price of small was changed" in told(decision)


def test_the_base_is_what_the_remotes_branch_names(repo: Repo) -> None:
    repo.write("evalh.toml", CONFIG.replace("[workspace]", '[workspace]\nbase = "change"'))
    worse(repo)

    refused(repo, "names another base, change: origin/main holds", base=None)


@pytest.mark.parametrize("base", ["HEAD", "HEAD~1", "@", "@^"])
def test_a_base_that_is_head_is_no_base(tmp_path: Path, base: str) -> None:
    repo = Repo(tmp_path / "repo", cases=5)
    repo.write("evalh.toml", CONFIG.replace("[workspace]", f'[workspace]\nbase = "{base}"'))
    repo.prompt(wrong=1)

    with pytest.raises(EvalhError, match="is head itself"):
        repo.gate(base=None)


def test_another_model_is_told(repo: Repo) -> None:
    canned = '[models.canned]\nprovider = "scripted"\nmodel = "c"\ndefault = \'{"label": "billing"}\'\n'
    repo.write("evalh.toml", CONFIG + canned)
    repo.write("evals/triage.yaml", SUITE.replace("model: small", "model: canned"))
    worse(repo)

    assert "another model or route answers: small → canned" in told(repo.gate())


def test_an_edited_baseline_is_not_believed(repo: Repo) -> None:
    repo.write("reports/baselines/triage/draft.small.jsonl", "forged\n")
    worse(repo)

    refused(repo, "shown to be worse")
