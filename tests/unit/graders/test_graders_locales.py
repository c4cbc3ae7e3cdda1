"""The table of decimal signs is CLDR's."""

import pytest
from babel import Locale, localedata

from evalh.graders.numbers.locales import decimal_mark


def test_every_locale_of_cldr_has_its_sign() -> None:
    locales = {tag: Locale.parse(tag) for tag in localedata.locale_identifiers()}
    marks = {tag: one.number_symbols["latn"]["decimal"] for tag, one in locales.items() if one.variant is None}

    assert len(marks) > 900
    assert {tag: decimal_mark(tag) for tag, mark in marks.items() if mark in ".," and decimal_mark(tag) != mark} == {}


@pytest.mark.parametrize("tag", ["", "xx", "e", "de-", "DE", "de_DE_x", "de\n"])
def test_what_is_not_a_locale_has_none(tag: str) -> None:
    assert decimal_mark(tag) is None
