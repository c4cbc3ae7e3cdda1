"""Headers, statuses and bodies of foreign servers are read with any content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import ErrorKind
from evalh.providers.http.errors import describe, duration_s, kind_of_status, retry_after_s


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens"]), st.text()))
def test_no_header_can_break_the_wait_or_make_it_negative(headers: dict[str, str]) -> None:
    wait_s = retry_after_s(headers, 1_700_000_000.0)

    assert wait_s is None or wait_s >= 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h2m3.5s", 3723.5),
        ("20ms", 0.02),
        ("34.07s", 34.07),
        ("6m0s", 360.0),
        ("2 s", 2.0),
        ("2sec", 2.0),
        ("2 seconds", 2.0),
        ("", None),
        ("soon", None),
        ("1s1h", None),
    ],
)
def test_a_duration_is_read(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("reset", "wait_s"), [("1700000060", 60.0), ("1700000060000", 60.0), ("90", 90.0), ("1699999999", 0.0)]
)
def test_a_reset_is_seconds_or_a_moment(reset: str, wait_s: float) -> None:
    assert retry_after_s({"x-ratelimit-reset": reset}, 1_700_000_000.0) == wait_s


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("0", 0.0),
        ("7, 9", 7.0),
        ("1700000060", 60.0),
        ("1700000060000", 60.0),
        ("2023-11-14T22:14:20Z", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("7200", 7200.0),
        ("1e300", 1e300),
        ("1_0", None),
        ("\u0667", None),
        ("soon, later", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_moment_in_many_spellings(said: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-after": said}, 1_700_000_000.0) == wait_s


@given(st.integers(100, 999))
def test_every_status_has_a_kind_and_only_a_servers_fault_is_its_own(status: int) -> None:
    kind = kind_of_status(status)

    assert (kind in {ErrorKind.OVERLOAD, ErrorKind.TIMEOUT}) == (500 <= status < 600 or status in {408, 409, 425})


@given(st.binary(max_size=300))
def test_any_body_can_be_described(body: bytes) -> None:
    told = describe(body)

    assert told.isprintable()
    assert len(told) <= 500
