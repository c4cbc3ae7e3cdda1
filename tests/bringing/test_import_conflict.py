"""A dry run where files are there already: it shows everything that it would write, and names what is in the way."""

from pathlib import Path

import pytest

from command_line import command_line


@pytest.mark.parametrize("form", ["auto", "rows"])
def test_a_dry_run_names_what_is_in_the_way_and_ends_as_the_import_would(tmp_path: Path, form: str) -> None:
    (tmp_path / "q.csv").write_text("question,answer\n2+2?,4\n3+3?,6\n")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/q.jsonl").write_text("mine\n")
    before = sorted(tmp_path.rglob("*"))

    dry = command_line()(tmp_path, "import", form, str(tmp_path / "q.csv"), "--dry-run")
    real = command_line()(tmp_path, "import", form, str(tmp_path / "q.csv"))

    assert (dry.code, real.code) == (2, 2)
    assert "cannot write datasets/q.jsonl: it is there already" in dry.out
    assert "would write evals/q.yaml" in dry.out
    assert "--name NAME" in dry.err
    assert "would overwrite a file" in real.err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "datasets/q.jsonl").read_text() == "mine\n"


def test_its_document_lists_them(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer\n2+2?,4\n3+3?,6\n")
    arguments = ("import", "rows", str(tmp_path / "q.csv"), "--json", "--dry-run")

    free = command_line()(tmp_path, *arguments)
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals/q.yaml").write_text("mine\n")
    taken = command_line()(tmp_path, *arguments)

    assert (free.code, free.document["there"]) == (0, [])
    assert (taken.code, taken.document["there"]) == (2, ["evals/q.yaml"])
