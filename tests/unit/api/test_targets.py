"""What `--model` names is resolved, with all mistakes reported before anything is sent."""

from decimal import Decimal
from pathlib import Path

import pytest

from evalh.api.options import RunOptions
from evalh.api.workspace import Workspace
from evalh.core.digest import digest
from evalh.core.errors import EvalhError, NotFound, UsageError, WorkspaceError
from evalh.core.request import Request, Settings
from evalh.core.route import BudgetPolicy
from evalh.engine.plan import budget_for
from evalh.pipeline.step import settings_for
from evalh.routing.target import Target
from workspaces import PROMPT, write_workspace

MODELS = """[models.small]
provider = "scripted"
table = {t-0001 = "{}"}
price = {input = 1, output = 2}

[models.strong]
provider = "scripted"
table = {t-0001 = "{}"}
params = {temperature = 0.5}
price = {input = 3, output = 4}

[models.unpriced]
provider = "scripted"
table = {t-0001 = "{}"}

"""
FIRST_LINE = MODELS.count("\n") + 1


def workspace(tmp_path: Path, routes: str = "", prompt: str = PROMPT) -> Workspace:
    write_workspace(tmp_path)
    (tmp_path / "evalh.toml").write_text('[workspace]\ndefault_suite = "triage"\n' + MODELS + routes)
    (tmp_path / "prompts/triage/v1.prompt").write_text(prompt)
    return Workspace.open(tmp_path, env={}, cache_dir=tmp_path / "cache")


def target(at: Workspace, name: str) -> Target:
    return at.targets.target_for(name, at.version("triage@v1"))


def refused(at: Workspace, name: str) -> EvalhError:
    with pytest.raises(EvalhError) as caught:
        target(at, name)
    return caught.value


def line_of(at: Workspace, text: str) -> str:
    lines = (at.root / "evalh.toml").read_text().splitlines()
    return f"evalh.toml:{1 + next(number for number, line in enumerate(lines) if text in line)}"


def test_a_model_asked_by_name_is_sent_what_it_was_sent_without_routes(tmp_path: Path) -> None:
    at = workspace(tmp_path)
    version = at.version("triage@v1")

    found = target(at, "strong")

    own = settings_for(version, at.provider("strong", version))
    assert own == Settings(
        model="strong",
        sent_to=at.provider("strong").identity,
        params={"temperature": 0.5, "max_tokens": 24},
        json_output=True,
        output_schema=version.output_schema,
    )
    assert found.settings() == own
    (plan,) = at.plans(RunOptions(models=("strong",)))
    case = next(iter(plan.cases))
    asked = plan.step.request(case)
    assert asked.digest() == Request(asked.messages, own).digest()


def test_each_model_of_a_route_has_its_own_settings_and_line(tmp_path: Path) -> None:
    at = workspace(tmp_path, '[routes.careful]\nmodel = "small"\nfallback = ["strong"]\n')

    found = target(at, "careful")

    assert list(found.leaves) == ["small", "strong"]
    assert [leaf.settings.params.get("temperature") for leaf in found.leaves.values()] == [0, 0.5]
    assert found.leaves["strong"].where == line_of(at, "[models.strong]")


def test_a_name_that_is_neither_is_refused_with_the_nearest_of_both(tmp_path: Path) -> None:
    at = workspace(tmp_path, '[routes.careful]\nmodel = "small"\n')

    unknown = refused(at, "carefull")

    assert isinstance(unknown, NotFound)
    assert (unknown.what, unknown.hint) == ("no model or route 'carefull'", "did you mean 'careful'?")
    assert refused(at, "smal").hint == "did you mean 'small'?"


def test_a_name_inside_a_route_that_is_neither_is_refused_at_the_routes_line(tmp_path: Path) -> None:
    at = workspace(tmp_path, '[routes.inner]\nmodel = "stron"\n[routes.outer]\nmodel = "small"\nfallback = ["inner"]\n')

    error = refused(at, "outer")

    assert (error.where, error.hint) == (line_of(at, "[routes.inner]"), "did you mean 'strong'?")


def test_a_circle_is_refused_at_its_line(tmp_path: Path) -> None:
    at = workspace(tmp_path, '[routes.one]\nmodel = "two"\n[routes.two]\nmodel = "small"\nfallback = ["one"]\n')

    error = refused(at, "two")

    assert error.what == "the route leads back to itself: two → one → two"
    assert error.where == line_of(at, "[routes.two]")


@pytest.mark.parametrize(
    "part", ["repair = {checks = [CHECK]}", 'cascade = {checks = [CHECK], escalate_to = "strong"}']
)
@pytest.mark.parametrize("check", ['"equals"', '"shcema"', "{length = {max_chars = 'x'}}"])
def test_a_wrong_check_is_refused_at_its_line_in_a_nested_route_too(tmp_path: Path, part: str, check: str) -> None:
    inner = f'[routes.inner]\nmodel = "small"\n{part.replace("CHECK", check)}\n'
    at = workspace(tmp_path, f'{inner}[routes.outer]\nmodel = "inner"\n')

    error = refused(at, "outer")

    assert isinstance(error, WorkspaceError)
    assert error.where == line_of(at, "checks =")


def test_a_budget_over_a_model_without_a_price_is_refused_at_the_models_line(tmp_path: Path) -> None:
    at = workspace(tmp_path, '[routes.r]\nmodel = "small"\nfallback = ["unpriced"]\nbudget = {usd_per_case = 1}\n')

    with pytest.raises(UsageError) as caught:
        budget_for(target(at, "r"), at.prices, None)

    assert caught.value.what == "a budget in USD cannot bound 'unpriced': it has no price per token"
    assert caught.value.where == line_of(at, "[models.unpriced]")
    assert "[models.unpriced]" in str(caught.value.hint)


@pytest.mark.parametrize("budget", ["usd_per_run = 1", "tokens_per_run = 1000"])
def test_a_budget_without_a_bound_on_the_output_is_refused(tmp_path: Path, budget: str) -> None:
    route = f'[routes.r]\nmodel = "small"\nbudget = {{{budget}}}\n'
    at = workspace(tmp_path, route, prompt=PROMPT.replace(", max_tokens: 24", ""))

    with pytest.raises(UsageError) as caught:
        budget_for(target(at, "r"), at.prices, None)

    assert caught.value.what == "a budget cannot bound 'small': nothing bounds its output tokens"
    assert caught.value.where == line_of(at, "[models.small]")


def test_a_budget_of_tokens_or_time_needs_no_price(tmp_path: Path) -> None:
    budgets = {"tokens_per_run = 1000": BudgetPolicy(tokens_per_run=1000), "deadline_s = 5": BudgetPolicy(deadline_s=5)}

    for text, budget in budgets.items():
        at = workspace(tmp_path, f'[routes.r]\nmodel = "unpriced"\nbudget = {{{text}}}\n')
        assert budget_for(target(at, "r"), at.prices, None) == budget


def test_the_command_lines_budget_comes_before_the_routes(tmp_path: Path) -> None:
    at = workspace(tmp_path, '[routes.r]\nmodel = "small"\nbudget = {usd_per_run = 2}\n')

    assert budget_for(target(at, "r"), at.prices, Decimal(1)) == BudgetPolicy(usd_per_run=Decimal(1))
    assert budget_for(target(at, "r"), at.prices, None) == BudgetPolicy(usd_per_run=Decimal(2))
    assert budget_for(target(at, "small"), at.prices, None) == BudgetPolicy()


def test_a_routes_digest_covers_what_its_checks_judge_by_and_not_how_that_is_written(tmp_path: Path) -> None:
    def digest_of(check: str, semantics: int = 1) -> str:
        route = f'[routes.r]\nmodel = "small"\nrepair = {{checks = [{check}]}}\n'
        at = workspace(tmp_path, route)
        (tmp_path / "evals/graders.py").write_text(
            f'from evalh import Verdict, grader\n\n@grader("short", semantics={semantics})\n'
            'def short(ctx, *, limit: int = 50) -> Verdict:\n    return Verdict.check(len(ctx.text) <= limit, "")\n'
        )
        toml = tmp_path / "evalh.toml"
        toml.write_text(toml.read_text().replace("[workspace]\n", '[workspace]\nplugins = ["evals/graders.py"]\n'))
        return digest(target(Workspace.open(at.root, env={}, cache_dir=at.cache_dir), "r").settings().document())

    assert digest_of('"short"') == digest_of("{short = {}}") == digest_of("{short = {limit = 50}}")
    assert digest_of('"short"') != digest_of("{short = {limit = 51}}")
    assert digest_of('"short"') != digest_of('"short"', semantics=2)
