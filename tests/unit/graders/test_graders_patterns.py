"""Patterns whose classes know every script, in linear time."""

import re

import pytest
import re2
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from evalh.graders.patterns import compiled
from hanging import ends


def caught(pattern: str, text: str, *, last: bool = False, ignore_case: bool = False) -> str | None:
    found = compiled(pattern, ignore_case=ignore_case).find(text, last=last)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("pattern", "text", "whole"),
    [
        (r"\w+", "über alles", "über"),
        (r"\w+$", "das Straßenfest", "Straßenfest"),
        (r"\w+", "हिन्दी में", "हिन्दी"),
        (r"\w+", "Ελληνικά είναι", "Ελληνικά"),
        (r"[\w-]+", "café-crème!", "café-crème"),
        (r"\W+", "ü, é", ", "),
        (r"[^\W\d_]+", "9ü_", "ü"),
        (r"\d+", "n = ४२", "४२"),
        (r"[^\d]+", "४२ü", "ü"),
        (r"\D+", "४२ü", "ü"),
        (r"a\sb", "a\u00a0b", "a\u00a0b"),
        (r"a[\s,]+b", "a,\u2003b", "a,\u2003b"),
        (r"\S+", "\u00a0ü\u00a0", "ü"),
        (r"[^\S\n]+", "ü\n\u00a0", "\u00a0"),
        (r"[\s\S]+", "ü\nx", "ü\nx"),
        (r"[\w\W]+", "ü\nx", "ü\nx"),
        (r"\bber\b", "über", None),
        (r"\büber\b", "das über, ja", "über"),
        (r"\bübe\b", "über", None),
        (r"\bcaf\b", "café", None),
        (r"\bकाम\b", "यह काम है", "काम"),
        (r"\bका\b", "काम", None),
        (r"\bείναι\b", "αυτό είναι", "είναι"),
        (r"\b\w+\b$", "ein schönes", "schönes"),
        (r"(?i)\b(?:ja|nö)\b", "Also NÖ!", "NÖ"),
        (r"^\w+\b.*\bü$", "é, ü", "é, ü"),
        (r"\bnein\b|\bjä\b", "jä", "jä"),
        (r"é\b.\b.", "é-x", "é-x"),
        (r"é.x", "é-x", "é-x"),
        (r"\b.{3}\b", "é-x", "é-x"),
        (r"\Qé.x\E\b", "é.x", "é.x"),
        (r"[^a]\b", "aé", "é"),
        (r"\P{L}\b", "é-x", "-"),
        (r"(?s)é\b.+", "é\nx", "é\nx"),
        (r"é\b.+", "é\nx", None),
        (r"(?m)^\bx$", "é\nx\n", "x"),
        (r"\bé{2}\b", "a éé", "éé"),
        (r"\bA\x{e9}\b", "Aé", "Aé"),
    ],
)
def test_classes_and_boundaries_know_every_script(pattern: str, text: str, whole: str | None) -> None:
    assert caught(pattern, text) == whole


def test_the_last_match_and_its_groups_are_caught(judge) -> None:
    entry = {"regex": {"pattern": r"\b(\w+) ist\b", "expected": "$", "which": "last"}}

    assert judge(entry, "Grün ist; blau ist, für ihn", expected="blau").outcome == "pass"
    assert judge({"regex": {"pattern": r"Antwort: (\w+)", "value": "größer"}}, "Antwort: größer.").outcome == "pass"


def test_what_only_ascii_can_say_is_named(judge) -> None:
    verdict = judge({"regex": {"pattern": r"a\Bé"}}, "xé")

    assert (verdict.outcome, verdict.reason) == (
        "fail",
        r"the pattern does not match; \B knows ASCII letters only",
    )


PIECES = st.lists(
    st.sampled_from(
        ["a", "é", "5", "४", " ", "-", "_", r"\w", r"\d", r"\s", r"\W", r"\S", r"\D", r"\b", ".", "a*", r"\w+", "(?:a|é)", "[aé]", "[^a]",
         r"[\w-]", r"[^\s]", "(a)?", "$", "^", r"\.", "x|"]
    ),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip


@given(pattern=PIECES, text=st.text("aé5४ -_.\n", max_size=12))
@example(r"\b.", "é-")
def test_a_pattern_matches_where_the_standard_of_unicode_says(pattern: str, text: str) -> None:
    """Compared with another engine; `\\b\\b` and `$` or `^` beside `\\b` are read alike by both."""
    word, space = r"\p{L}\p{M}\p{N}\p{Pc}", r"\t\n\f\r \x{85}\p{Z}"
    if re.search(r"\$.*\\b|\\b\^|\|\||\|$", pattern) or text.isascii():
        return
    same = pattern.replace(r"[\w-]", rf"[{word}\-]").replace(r"[^\s]", rf"[^{space}]")
    same = (
        same.replace(r"\w", f"[{word}]")
        .replace(r"\W", f"[^{word}]")
        .replace(r"\s", f"[{space}]")
        .replace(r"\S", f"[^{space}]")
    )
    same = (
        same.replace(r"\b", rf"(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))")
        .replace("$", r"\Z")
        .replace(r"\x{85}", "\x85")
    )
    found = regex.search(same, text)

    assert caught(pattern, text) == (None if found is None else found[0])


@pytest.mark.parametrize("text", ["é", "é ", "a-é", "\u0301", "日", "\ufdd0é", "\n"])
def test_a_megabyte_takes_linear_time(text: str) -> None:
    pattern = compiled(r"\b(?:\w+\W*)+\bq\b$", ignore_case=False)

    with ends():
        pattern.find(text * (1_000_000 // len(text)))


@given(st.text(alphabet=list("ab.*+?|()[]^$-,\\wdWDbpL{}0 \n:P<>i=!"), max_size=130))
@example(r"\w" * 60)
@example("(" * 60 + ")" * 60)
@example("[^a]" * 30)
@example(".*" * 60)
def test_a_pattern_is_accepted_exactly_if_it_can_be_compiled(source: str) -> None:
    """Simple patterns are only parsed when a suite is loaded: none of them may fail when it is used."""
    try:
        re2.compile(source.encode())
    except re2.error:
        with pytest.raises(re2.error):
            compiled(source, ignore_case=False)
    else:
        compiled(source, ignore_case=False).find("ab ü")


@pytest.mark.parametrize("source", ["(?:a{1000}){1000}", r"(?:\pL{300}){3}", "((a{100}){100}){100}"])
def test_a_pattern_that_is_too_large_is_refused_when_it_is_loaded(source: str) -> None:
    with pytest.raises(re2.error):
        compiled(source, ignore_case=False)
