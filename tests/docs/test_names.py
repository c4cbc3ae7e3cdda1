"""A module that a page or a comment names exists: a move leaves no old name behind."""

import re
from pathlib import Path

import pytest

import evalh

ROOT = Path(__file__).parents[2]
PACKAGE = Path(evalh.__file__).parent
LAYERS = "|".join(sorted(path.stem for path in PACKAGE.iterdir() if path.is_dir() and path.stem != "__pycache__"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
SOURCES = sorted(PACKAGE.rglob("*.py"))
FILE = re.compile(r"(?<![\w/.*<{-])(?:[\w-]+/)+[\w-]+\.py\b")
NAME = re.compile(rf"`(?:evalh\.)?((?:{LAYERS})(?:\.\w+)+)(?:\(\))?`")  # `stats.stopped`, `api.files.Candidate`
USERS = ("app/", "evals/", "steps/")  # files of a user's workspace


def absent(text: str) -> list[str]:
    """Return the files and modules named in a text that are not there."""
    files = [name for name in FILE.findall(text) if not name.startswith(USERS)]
    missing = [name for name in files if not any((place / name).is_file() for place in (ROOT, ROOT / "tests", PACKAGE))]
    return missing + [name for name in NAME.findall(text) if not is_there(name.split("."))]


def is_there(parts: list[str]) -> bool:
    place = PACKAGE
    for position, part in enumerate(parts):
        module = place / f"{part}.py"
        if module.is_file():
            text = module.read_text(encoding="utf-8")
            return all(re.search(rf"\b{name}\b", text) for name in parts[position + 1 :])
        place = place / part
    return place.is_dir()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    assert absent(page.read_text(encoding="utf-8")) == []


def test_every_module_that_a_comment_names_exists() -> None:
    found = {str(path.relative_to(PACKAGE)): absent(path.read_text(encoding="utf-8")) for path in SOURCES}

    assert {path: names for path, names in found.items() if names} == {}


def test_an_old_name_is_found() -> None:
    text = "`graders/checks.py`, `evals/checks.py`, `routing/retry.py`, `report.moving`, `stats.eprocess`, `api.files.Nobody`"

    assert absent(text) == ["graders/checks.py", "report.moving", "api.files.Nobody"]
