"""Wordings that we gave up for the usual ones come back nowhere: not in a message, a docstring, a comment or a page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("harness", "docs", "tests", "benchmarks", "schemas", "changelog.d", "evals", "steps")
KINDS = (".py", ".md", ".json", ".js", ".html", ".yaml")
TEXTS = [
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in KINDS),
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "evalh.toml", "pyproject.toml", "action.yml", "Makefile")
    ),
]
GIVEN_UP = {
    r"\banew\b": "again",
    r"\bwho(m)?ever\b": "name who it is",
    r"\bdear(er|est)\b|\b(is|are|was) dear\b": "costs more",
    r"(?<!there )\b(is|are|was|were|be) no (?!longer|worse|more|better|less|fewer|later|such|one\b)": "is not a",
    r"\bheld against\b": "is not calibrated",
    r"\bwho said no\b": "which grader failed",
    r"\bspeaks? (for|against)\b|\b(nothing|something) else speaks\b": "unless you have another reason",
    r"\bwhat was run\b": "runs",
    r"\bwhen(ever)? one stops\b": "valid at any stopping point",
    r"\btimes in 5\b": "80 % power",
    r"\btells? whether\b": "whether",
    r"\bnone: not known\b": "None if unknown",
    r"\bround (the|a|an|it|its|them|every|each|calls?)\b(?! number)": "around",
}
OPENS = re.compile(r"\s*\n\s*(#|//|\*)?\s*")  # a sentence goes on in the next line, in a comment too


def given_up(text: str) -> list[str]:
    """Return the wordings of a text that are not used any more, each with some words beside it."""
    plain = OPENS.sub(" ", text)
    found = (match for pattern in GIVEN_UP for match in re.finditer(pattern, plain, re.IGNORECASE))
    return [plain[max(one.start() - 40, 0) : one.end() + 40] for one in found]


def test_no_text_of_ours_has_a_wording_that_was_given_up() -> None:
    found = {str(path.relative_to(ROOT)): given_up(path.read_text("utf-8")) for path in TEXTS if path != Path(__file__)}

    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "text",
    [
        "x is no number",
        "# the text is\n    # no number",
        "The file is written Anew.",
        "Whoever asks waits.",
        "Tell whether it fits.",
        "logic round the call",
        "a judge that was never held against people",
    ],
)
def test_a_wording_that_was_given_up_is_found(text: str) -> None:
    assert len(given_up(text)) == 1


@pytest.mark.parametrize(
    "text", ["there is no number", "head is no worse", "it is no longer live", "one round trip", "upheld against"]
)
def test_plain_wordings_stay(text: str) -> None:
    assert given_up(text) == []
