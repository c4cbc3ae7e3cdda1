"""Personal data is found by its form and its check digits, and never quoted."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome
from evalh.graders.pii import KINDS, personal

# Numbers from the public test sets of card networks and of the IBAN registry's examples.
DATA = {
    "jane.doe+x@mail.example.co.uk": "email",
    "DE89 3704 0044 0532 0130 00": "iban",
    "GB82WEST12345698765432": "iban",
    "FR14 2004 1010 0505 0001 3M02 606": "iban",
    "NO9386011117947": "iban",
    "4111 1111 1111 1111": "card",
    "5555-5555-5555-4444": "card",
    "378282246310005": "card",
    "6011111111111117": "card",
    "219-09-9999": "ssn",
    "8.8.8.8": "ip",
    "2001:4860:4860::8888": "ip",
    "+49 30 12345678": "phone",
    "+1 (212) 555-0123": "phone",
    "(212) 555-0123": "phone",
    "212.555.0123": "phone",
    "030 12345678": "phone",
    "06 12 34 56 78": "phone",
}
NONE = [
    "a@b",
    "@handle and user@localhost",
    "DE89 3704 0044 0532 0130 01",  # wrong check digits
    "DE89 3704 0044 0532 0130",  # too short for its country
    "4111 1111 1111 1112",  # wrong Luhn digit
    "9111111111111111",  # no network's
    "1234567812345670",
    "000-12-3456, 666-12-3456, 912-12-3456, 123-00-4567, 123-45-0000",
    "127.0.0.1, 192.168.1.1, 10.0.0.7, 999.1.1.1, 1.2.3.4.5, fe80::1",
    "at 12:34:56 on 01-02-2024 10:30 or 2024-01-05",
    "200 300 4000 and 3.14159265358979",
    "16 - 3 - 4 = <<16-3-4=9>>9 and 9 * 2 = $<<9*2=18>>18",
    "5000 + 5400 = 10400; 12345678901234567890",
    "order 20240105-000123",
]


@pytest.mark.parametrize("text", DATA)
@pytest.mark.parametrize("around", ["{}", "It is {}.", "({}), then", "x:\n{}\nY 1"])
def test_it_is_found_once_and_whole(text: str, around: str) -> None:
    found = list(personal(around.format(text), KINDS))

    assert [(one.kind, one.text) for one in found] == [(DATA[text], text)]
    assert around.format(text)[found[0].place :].startswith(text)


@pytest.mark.parametrize("text", NONE)
def test_what_only_looks_like_it_is_none(text: str) -> None:
    assert [one.text for one in personal(text, KINDS)] == []


def test_a_verdict_quotes_nothing(judge) -> None:
    verdict = judge("pii", " and ".join(DATA))

    assert verdict.reason.startswith("1 email, the first at character 1; 4 iban, the first at character 35; 4 card")
    assert not any(text in verdict.reason for text in DATA)


def test_only_the_kinds_that_are_asked_for_count(judge) -> None:
    assert judge({"pii": ["card", "iban"]}, "jane@mail.test").outcome is Outcome.PASS
    assert judge({"pii": {"kinds": ["email"]}}, "jane@mail.test").outcome is Outcome.FAIL


def test_a_mailbox_or_a_domain_may_be_allowed(judge) -> None:
    entry = {"pii": {"allow": ["@Example.com", "boss@mail.test"]}}

    assert judge(entry, "HELP@example.com, boss@mail.test").outcome is Outcome.PASS
    assert judge(entry, "x@mail.test").outcome is Outcome.FAIL
    assert judge(entry, "x@sub.example.com").outcome is Outcome.FAIL


def test_what_the_input_holds_may_be_said_however_it_is_written(judge) -> None:
    about = {"inputs": {"messages": [{"text": "I am jane@mail.test, DE89370400440532013000, 030 12345678"}]}}
    echo = "Jane@mail.test, DE89 3704 0044 0532 0130 00, 030-12345678"

    assert judge({"pii": {"allow_input": True}}, echo, **about).outcome is Outcome.PASS
    assert judge({"pii": {"allow_input": True}}, echo + ", 4111111111111111", **about).reason.startswith("1 card")
    assert judge("pii", echo, **about).outcome is Outcome.FAIL


@pytest.mark.parametrize("params", [{"kinds": []}, {"kinds": ["name"]}, {"allow": [" "]}])
def test_what_cannot_be_meant_is_refused(judge, params) -> None:
    with pytest.raises(WorkspaceError, match="pii"):
        judge({"pii": params}, "x")
