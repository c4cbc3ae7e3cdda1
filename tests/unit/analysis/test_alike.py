"""Cases that look as if they came from one template are proposed, and nothing else is."""

import gzip
import json
import os
from pathlib import Path

import pytest

from evalh.analysis.near_duplicates import masked, propose
from evalh.core.case import Case
from evalh.engine.selection import Listed

REAL = os.environ.get("EVALH_REAL_DATA")


def cases(*texts: str) -> Listed:
    return Listed([Case(f"c{number}", {"ticket": text}) for number, text in enumerate(texts)])


def groups(*texts: str, fast: bool = False) -> list[tuple[str, ...]]:
    return [one.cases for one in propose("d", cases(*texts), fast=fast).proposed]


TEMPLATES = (
    "Hello, this is Anna Berg and my order 17 has not arrived yet.",
    "I would like to cancel my subscription at the end of the month, please.",
    "Hello, this is Ravi Kumar and my order 9,402 has not arrived yet.",
    "Where can I see the invoices of last year in my account?",
    "Hello, this is Chen Wei and my order #3 has not arrived yet.",
)


@pytest.mark.parametrize("fast", [True, False])
def test_the_same_text_but_for_names_and_numbers_is_proposed(fast: bool) -> None:
    assert groups(*TEMPLATES, fast=fast) == [("c0", "c2", "c4")]


def test_a_few_other_words_are_still_alike_to_the_thorough_look_alone() -> None:
    long = "my parcel was left with a neighbour whom I do not know and who does not open the door when I ring there"
    texts = (f"Hello, {long}.", f"Dear team, {long}.", "Something else entirely that nobody else has written so far.")

    assert groups(*texts, fast=True) == []
    assert groups(*texts) == [("c0", "c1")]


def test_short_texts_are_like_too_many_to_be_proposed() -> None:
    assert groups("yes 1", "yes 2", "yes 3") == []


def test_what_is_one_cluster_already_is_not_proposed_again() -> None:
    rows = Listed([Case(f"c{n}", {"ticket": f"Where is my order {n}, please?"}, cluster="k") for n in range(4)])

    found = propose("d", rows)

    assert (found.clusters, found.proposed) == (1, ())


def test_names_and_numbers_are_masked_within_a_sentence() -> None:
    assert masked("Mail me at 5pm, Anna Berg. Thanks") == ("mail", "me", "at", "0", "N", "N", "thanks")


@pytest.mark.parametrize("text", ["a" * 1_000_000, "ab " * 300_000, "\n" * 1_000_000, "1 " * 500_000, "É́ " * 200_000])
def test_a_huge_text_takes_no_longer_than_its_first_words(text: str) -> None:
    assert len(masked(text)) <= 2000


@pytest.mark.parametrize(("words", "alike"), [(40, True), (12, False)])
def test_many_cases_that_are_nearly_alike_cost_no_square(words: int, alike: bool) -> None:
    text = " ".join(f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(words))
    texts = (f"{text} {chr(97 + n % 26) * (2 + n // 26)} {text[::-1]}" for n in range(2000))

    found = groups(*texts)

    assert (len(found[0]) == 2000) if alike else not found


@pytest.mark.skipif(REAL is None, reason="EVALH_REAL_DATA is not set")
@pytest.mark.parametrize(("file", "most"), [("banking77/test-sample.jsonl.gz", 0.05), ("gsm8k/cases.jsonl.gz", 0.02)])
def test_real_questions_are_not_called_templates(file: str, most: float) -> None:
    path = Path(str(REAL)) / file
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [str(row.get("question") or row.get("text")) for row in map(json.loads, lines)]

    proposed = propose("real", cases(*texts)).proposed

    assert sum(len(one.cases) for one in proposed) <= most * len(texts)
