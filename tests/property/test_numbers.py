"""A number that is written in any style is read back, or the grader abstains and names how it can be read."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from babel import Locale
from babel.numbers import format_currency, format_decimal, format_percent
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.kinds import Grader
from evalh.graders.registry import build
from grading import environment as grading_environment

# The 40 locales of CLDR with the most readers: languages by speakers, with the regions that write numbers differently.
LARGEST = [
    "en",
    "zh_Hans",
    "hi",
    "es",
    "es_MX",
    "ar_EG",
    "ar_SA",
    "ar_MA",
    "fr",
    "fr_CH",
    "bn",
    "pt_BR",
    "pt_PT",
    "ru",
    "ur",
    "id",
    "de",
    "de_AT",
    "de_CH",
    "ja",
    "mr",
    "te",
    "tr",
    "ta",
    "vi",
    "ko",
    "fa",
    "it",
    "th",
    "gu",
    "pl",
    "uk",
    "ro",
    "nl",
    "my",
    "pa",
    "sw",
    "he",
    "sv",
    "hu",
]
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(Decimal),
    st.decimals(-(10**7), 10**7, allow_nan=False, places=1),
    st.decimals(-(10**7), 10**7, allow_nan=False, places=2),
    st.decimals(-2000, 2000, allow_nan=False, places=3),
)


def _decimal(number: Decimal, locale: str) -> str:
    return format_decimal(number, "#,##0.######", locale=locale, numbering_system="default")


def _own_pattern(number: Decimal, locale: str) -> str:
    return format_decimal(number, locale=locale, decimal_quantization=False, numbering_system="default")


def _currency(code: str) -> Callable[[Decimal, str], str]:
    return lambda number, locale: format_currency(
        number, code, locale=locale, decimal_quantization=False, numbering_system="default"
    )


def _accounting(number: Decimal, locale: str) -> str:
    return format_currency(
        number, "USD", locale=locale, format_type="accounting", decimal_quantization=False, numbering_system="default"
    )


def _percent(number: Decimal, locale: str) -> str:
    return format_percent(number / 100, locale=locale, decimal_quantization=False, numbering_system="default")


FORMATS = {
    "decimal": _decimal,
    "own pattern": _own_pattern,
    "dollars": _currency("USD"),
    "rupees": _currency("INR"),
    "francs": _currency("CHF"),
    "accounting": _accounting,
    "percent": _percent,
}


def graded(text: str, value: Decimal, **params: object) -> Verdict:
    grader: Grader = build(GraderSpec(kind="number", name="number", params=params), grading_environment())
    case = Case("c", {}, expected=json.loads(f"{value:f}"))
    verdict = grader.judge(GradeContext(case=case, completion=Completion(text=text)))
    assert isinstance(verdict, Verdict)
    return verdict


def held(text: str, number: Decimal, *, comma: bool = False) -> None:
    """It is read back, or named among the readings; and it passes for no other number that its digits could be."""
    verdict = graded(text, number)
    assert verdict.outcome in {Outcome.PASS, Outcome.ABSTAIN}, (text, number, verdict)
    for other in {-number, number * 1000, number / 1000, number % 1000, number + 1} - {number}:
        if comma and (other == number * 1000 or f"{abs(other):f}" in text):
            continue  # 1,234 of a language with a decimal comma looks as English, and 1.234 is the expected text itself
        assert graded(text, other).outcome is not Outcome.PASS, (text, other)


@pytest.mark.parametrize("locale", LARGEST)
@settings(deadline=None, max_examples=40)
@given(
    number=NUMBERS,
    style=st.sampled_from(sorted(FORMATS)),
    prose=st.sampled_from(["{}", "It is {}.", "**{}**", "A: {}"]),
)
def test_a_number_that_cldr_formats_is_read_back(locale: str, style: str, number: Decimal, prose: str) -> None:
    text = prose.format(FORMATS[style](number, locale))
    comma = Locale.parse(locale).number_symbols["latn"]["decimal"] == ","

    held(text, number, comma=comma)
    told = graded(text, number, locale=locale)
    assert told.outcome is Outcome.PASS or (style == "accounting" and told.outcome is Outcome.ABSTAIN), (text, told)


def _grouped(mark: str) -> Callable[[Decimal], str]:
    return lambda number: f"{number:,f}".replace(",", mark)


def _indian(number: Decimal) -> str:
    whole, point, decimals = f"{abs(number):f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    while head:
        head, tail = head[:-2], f"{head[-2:]},{tail}"
    return f"{'-' if number < 0 else ''}{tail}{point}{decimals}"


def _digits(zero: str) -> Callable[[Decimal], str]:
    table = str.maketrans("0123456789", "".join(chr(ord(zero) + digit) for digit in range(10)))
    return lambda number: f"{number:f}".translate(table)


def _signed(sign: str) -> Callable[[Decimal], str]:
    return lambda number: f"{number:f}".replace("-", sign)


def _power(times: str, power: str) -> Callable[[Decimal], str]:
    def write(number: Decimal) -> str:
        mantissa, exponent = f"{number:.12E}".split("E")
        return f"{mantissa} {times} {power.format(int(exponent))}"

    return write


STYLES: dict[str, Callable[[Decimal], str]] = {
    "plain": lambda number: f"{number:f}",
    "comma": _grouped(","),
    "apostrophe": _grouped("'"),
    "curly apostrophe": _grouped("\u2019"),
    "underscore": _grouped("_"),
    "thin space": _grouped("\u2009"),
    "narrow space": _grouped("\u202f"),
    "no-break space": _grouped("\u00a0"),
    "braced comma": _grouped("{,}"),
    "latex space": _grouped(r"\,"),
    "latex comma": _grouped(r",\!"),
    "indian": _indian,
    "full-width": _digits("\uff10"),
    "arabic": _digits("\u0660"),
    "persian": _digits("\u06f0"),
    "devanagari": _digits("\u0966"),
    "thai": _digits("\u0e50"),
    "minus sign": _signed("\u2212"),
    "en dash": _signed("\u2013"),
    "no-break hyphen": _signed("\u2011"),
    "full-width minus": _signed("\uff0d"),
    "dollars": lambda number: f"-${-number:,f}" if number < 0 else f"${number:,f}",
    "minus, blank": lambda number: f"= - {-number:f}" if number < 0 else f"{number:f}",
    "bold": lambda number: f"**{number:f}**",
    "code": lambda number: f"`{number:f}`",
    "boxed": lambda number: rf"$\boxed{{{number:f}}}$",
    "unit": lambda number: f"{number:f}kg",
    "exponent": lambda number: f"{number:.12e}",
    "times ten": _power("\u00d7", "10^{}"),
    "latex times ten": _power(r"\times", "10^{{{}}}"),
}


@pytest.mark.parametrize("style", STYLES)
@settings(deadline=None)
@given(number=NUMBERS, prose=st.sampled_from(["{}", "It is {}.", "A: {}", "that makes {} in all"]))
def test_a_number_of_every_style_is_read_back(style: str, number: Decimal, prose: str) -> None:
    number = abs(number) if number == 0 else number  # there is no -0 to format
    text = prose.format(STYLES[style](number))
    verdict = graded(text, number)

    assert verdict.outcome in {Outcome.PASS, Outcome.ABSTAIN}, (text, verdict)
    assert graded(text, number, locale="en").outcome is Outcome.PASS, text
    for other in {-number, number * 1000, number / 1000, number % 1000, number + 1} - {number}:
        if f"{other:f}" not in text:
            assert graded(text, other).outcome is not Outcome.PASS, (text, other)
