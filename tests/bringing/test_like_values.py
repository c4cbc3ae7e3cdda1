"""Personal data in a case becomes a like value, the same one everywhere."""

import pytest

from evalh.analysis.like_values import LikeValues
from evalh.graders.pii import KINDS, personal

REAL = {
    "email": "ada.lovelace@analytical.engine.org",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "ssn": "219-09-9999",
    "ip": "8.8.4.4",
    "phone": "+49 30 12345678",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_like_value_has_the_form_of_what_it_stands_for(kind: str) -> None:
    replaced = LikeValues().text(f"It is {REAL[kind]}, she says.")

    assert REAL[kind] not in replaced
    found = [one.kind for one in personal(replaced, KINDS)]
    assert found == ([] if kind == "ip" else [kind])  # an address of a block for examples is nobody's


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_value_has_the_same_like_value_everywhere(kind: str) -> None:
    like = LikeValues()
    case = {"inputs": {"mail": f"from {REAL[kind]}"}, "given": [{"of": REAL[kind], REAL[kind]: 1}]}

    replaced = like.value(case)

    one = replaced["given"][0]["of"]
    assert one != REAL[kind]
    assert replaced == {"inputs": {"mail": f"from {one}"}, "given": [{"of": one, one: 1}]}
    assert like.counts == {kind: 1}


def test_an_account_is_the_same_with_blanks_and_without_and_keeps_how_it_is_written() -> None:
    like = LikeValues()

    spaced, plain = like.text(REAL["iban"]), like.text(REAL["iban"].replace(" ", ""))

    assert spaced.replace(" ", "") == plain
    assert spaced.count(" ") == REAL["iban"].count(" ")


def test_two_people_stay_two() -> None:
    like = LikeValues()

    assert (
        like.text("a@x.org to b@x.org, cc a@x.org")
        == "person1@example.com to person2@example.com, cc person1@example.com"
    )


def test_a_card_that_is_a_number_stays_a_number() -> None:
    like = LikeValues()

    replaced = like.value({"card": 4111111111111111, "again": "4111-1111-1111-1111", "count": 3, "yes": True})

    assert isinstance(replaced["card"], int)
    assert replaced["card"] != 4111111111111111
    assert replaced["again"].replace("-", "") == str(replaced["card"])
    assert (replaced["count"], replaced["yes"]) == (3, True)


def test_a_value_inside_a_word_is_replaced_where_it_was_seen_elsewhere() -> None:
    case = {"link": "/users/.ada.@x.org", "also": "(ada.@x.org)", "mail": "ask ada@x.org"}
    case["link"] = "/users/_ada@x.org_/edit"

    assert LikeValues().value(case)["link"] == "/users/_person1@example.com_/edit"


def test_text_without_personal_data_stays_as_it_is() -> None:
    text = "Order 4711 of 2026-07-28, 3 items, 19.99 USD, version 1.2.3"

    assert LikeValues().text(text) == text
