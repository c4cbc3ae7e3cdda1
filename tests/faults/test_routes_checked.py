"""`evalh check` follows routes to their ends, and takes one where it takes a model."""

from pathlib import Path

import pytest

from workspaces import evalh, write_workspace


def workspace(folder: Path, routes: str, model: str = "careful") -> Path:
    folder = write_workspace(folder, cases=2)
    suite = folder / "evals/triage.yaml"
    suite.write_text(suite.read_text().replace("model: small", f"model: {model}"))
    with (folder / "evalh.toml").open("a") as config:
        config.write(routes)
    return folder


def test_a_suite_may_name_a_route(tmp_path: Path) -> None:
    folder = workspace(tmp_path, '[routes.careful]\nmodel = "small"\n')

    assert evalh(folder, "check").returncode == 0
    assert evalh(folder, "doctor").returncode == 0
    assert evalh(folder, "run").returncode == 0


@pytest.mark.parametrize(
    ("routes", "what", "hint"),
    [
        ('[routes.careful]\nmodel = "smal"\n', "names 'smal', which is neither a model nor a route", "'small'"),
        ('[routes.careful]\nmodel = "small"\nfallback = ["careful"]\n', "careful → careful", ""),
        (
            '[routes.careful]\nmodel = "small"\nrepair = {checks = [{equals = {path = "label", expected = "label"}}]}\n',
            "needs gold, and a check",
            "schema",
        ),
        ('[routes.careful]\nmodel = "small"\nrepair = {checks = ["shema"]}\n', "no grader 'shema'", "'schema'"),
    ],
)
def test_a_wrong_route_is_told_with_its_line(tmp_path: Path, routes: str, what: str, hint: str) -> None:
    done = evalh(workspace(tmp_path, routes), "check")

    assert done.returncode == 2
    assert what in done.stdout
    assert hint in done.stdout
    assert "evalh.toml:" in done.stdout
