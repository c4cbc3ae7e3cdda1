"""Languages are distinguished; if that is not possible, the grader abstains."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome
from evalh.graders import language as module
from evalh.graders.language import LANGUAGES

# The first sentence of the Universal Declaration of Human Rights.
ARTICLE_1 = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
}


@pytest.mark.parametrize("code", ARTICLE_1)
def test_one_sentence_is_enough(judge, code: str) -> None:
    other = "fr" if code == "en" else "en"

    assert judge({"language": code}, ARTICLE_1[code]).outcome is Outcome.PASS
    assert judge({"language": other}, ARTICLE_1[code]).outcome is Outcome.FAIL


@pytest.mark.parametrize("text", ["", "OK", "18", "A: 7 + 3 = 10 m", "```\nAlle Menschen sind frei geboren\n```"])
def test_too_little_prose_tells_nothing(judge, text: str) -> None:
    assert judge({"language": "en"}, text).outcome is Outcome.ABSTAIN


def test_what_is_between_two_languages_is_not_failed(judge) -> None:
    malay_or_indonesian = "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama."

    assert judge({"language": "id"}, malay_or_indonesian).outcome is Outcome.ABSTAIN
    assert judge({"language": ["id", "ms"]}, malay_or_indonesian).outcome is Outcome.PASS


def test_the_language_of_the_inputs_is_the_default(judge) -> None:
    about = {"inputs": {"ticket": ARTICLE_1["fr"], "notes": ["x"]}}

    assert judge("language", ARTICLE_1["fr"], **about).outcome is Outcome.PASS
    assert judge({"language": {"input": "ticket"}}, ARTICLE_1["de"], **about).outcome is Outcome.FAIL
    assert judge({"language": {"input": "notes"}}, ARTICLE_1["de"], **about).outcome is Outcome.ABSTAIN
    assert judge("language", ARTICLE_1["de"]).outcome is Outcome.ABSTAIN


def test_it_may_stand_in_the_cases_expected(judge, build_grader) -> None:
    entry = {"language": {"expected": "reply_in"}}

    assert build_grader(entry).needs_expected
    assert not build_grader("language").needs_expected
    assert judge(entry, ARTICLE_1["de"], expected={"reply_in": "de-AT"}).outcome is Outcome.PASS
    assert judge(entry, ARTICLE_1["de"], expected={"reply_in": "klingon"}).outcome is Outcome.ERROR
    assert judge(entry, ARTICLE_1["de"]).outcome is Outcome.ABSTAIN


def test_of_json_the_strings_are_read(judge) -> None:
    text = f'{{"the_answer_of_our_support_team": "{ARTICLE_1["de"]}"}}'

    assert judge({"language": "de"}, text).outcome is Outcome.PASS
    assert judge({"language": {"value": "de", "path": "the_answer_of_our_support_team"}}, text).outcome is Outcome.PASS


def test_every_code_that_may_be_stated_can_be_found() -> None:
    assert {code for code in module._identifier().__self__.labels if len(code) == 2} == {*LANGUAGES}


@pytest.mark.parametrize("params", [{"value": "english"}, {"value": []}, {"value": "en", "input": "ticket"}])
def test_what_cannot_be_wanted_is_refused(judge, params) -> None:
    with pytest.raises(WorkspaceError, match="language"):
        judge({"language": params}, "x")


def test_a_package_that_is_missing_is_named(judge, monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)

    with pytest.raises(WorkspaceError, match="not installed") as caught:
        judge({"language": "en"}, "x")
    assert caught.value.hint == "pip install 'evalh[language]'"
