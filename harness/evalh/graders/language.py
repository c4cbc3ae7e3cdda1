"""`language`: the output is written in the language that it should be written in."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.errors import did_you_mean
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import EarlyVerdict, GradeContext, Verdict
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.paths import JsonPath
from evalh.graders.quoting import shown
from evalh.graders.reading import Compared, output_strings, strings_in

LANGUAGES = tuple(
    """
    af am an ar as az ba be bg bn br bs ca cs cy da de el en eo es et eu fa fi fo fr fy ga gd gl gu ha
    he hi hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lg ln lo lt lv mg mk ml mn mr ms mt
    my ne nl no oc om or pa pl ps pt qu ro ru rw sa se si sk sl sn so sq sr st sv sw ta te tg th tk tl
    tr tt ug uk ur uz vi vo wa xh yo zh zu
    """.split()  # noqa: SIM905 (a table reads better)
)
"""The languages that can be distinguished, by their ISO 639-1 codes."""

_NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content, as code and tables have none
_CLEANED = 1_000  # characters that are cleaned, from the beginning and from the end
_READ = 250  # characters of prose that are read, from its beginning and from its end: more say no more
_WORDY = 0.25  # of the letters that are needed, where each says more
_MARKUP = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{0,200}`|https?://\S+|[^\s@]{1,64}@\S+|\\[A-Za-z]+", re.DOTALL)
_NO_LETTERS = re.compile(r"[^\w\s'.,!?\u2019]+|[\d_]+")

Identify = Callable[[str], tuple[str, float]]


@built_in("language", short="value", semantics=2)
class Language(Compared):
    """The output is in one of these languages. Default: the language of the case's inputs."""

    value: str | tuple[str, ...] | None = Field(None, description="One ISO 639-1 code, or a list of them.")
    input: str | None = Field(None, description="The place in the case's inputs of a text in the right language.")
    sure: float = Field(0.8, gt=0, le=1, description="How likely another language must be for a fail.")
    min_letters: int = Field(20, ge=1, description="With fewer letters it abstains.")

    def compile(self, scope: Scope) -> Compiled:
        """Fix the languages. The detector's table is read when the first output comes."""
        if find_spec("py3langid") is None:
            raise scope.wrong("needs a package that is not installed", "pip install 'evalh[language]'")
        stated = [name for name in ("value", "expected", "input") if getattr(self, name) is not None]
        if len(stated) > 1:
            raise scope.wrong(f"states both {stated[0]} and {stated[1]}", "state only one of them", (stated[1],))
        place, inputs = self.place(scope), scope.path(self.input, "input")
        expectation = self.expectation(scope, ABSENT if self.value is None else self._codes(scope))
        by_inputs = self.value is None and self.expected is None

        def judge(ctx: GradeContext) -> Verdict:
            wanted = self._of_inputs(ctx, inputs) if by_inputs else _codes_of(expectation.resolve(ctx))
            whole = place.path is None  # then the keys of a JSON output are not prose
            return self._judge("\n".join(output_strings(ctx, fenced=self.fenced)) if whole else place.text(ctx), wanted)

        return Compiled(judge, needs_expected=expectation.needs_expected and not by_inputs)

    def _codes(self, scope: Scope) -> list[JsonValue]:
        stated = [self.value] if isinstance(self.value, str) else self.value or []
        if not stated:
            raise scope.wrong("has an empty list of languages: nothing could pass", at=("value",))
        codes = [code_of(one) for one in stated]
        for one, code in zip(stated, codes, strict=True):
            if code not in LANGUAGES:
                raise scope.wrong(f"does not know the language {one!r}", did_you_mean(one, LANGUAGES))
        return list(codes)

    def _judge(self, text: str, wanted: Sequence[str]) -> Verdict:
        """Fail only where another language is likely enough: a short text may be read as several."""
        found = self._likely(text)
        if found is None:
            return Verdict.abstain("there is too little prose in it to tell its language")
        language, sure = found
        said = f"it is {language} ({sure:.0%})"
        if language in wanted:
            return Verdict.check(True, said)
        if sure < self.sure:
            return Verdict.abstain(f"its language is not clear: {language} ({sure:.0%})")
        return Verdict.check(False, f"{said}; expected {' or '.join(wanted)}")

    def _likely(self, text: str) -> tuple[str, float] | None:
        prose = _prose(text)
        # Kana, Han, Hangul: a letter is about a syllable or a word.
        dense = any("\u3040" <= one <= "\u9fff" or "\uac00" <= one <= "\ud7a3" for one in prose)
        if sum(map(str.isalpha, prose)) < self.min_letters * (_WORDY if dense else 1.0):
            return None
        found = _identifier()(prose)
        return None if found[0] == _NO_LANGUAGE else found

    def _of_inputs(self, ctx: GradeContext, path: JsonPath | None) -> list[str]:
        value = dict(ctx.inputs) if path is None else path.find(dict(ctx.inputs))
        found = None if value is ABSENT else self._likely("\n".join(strings_in(value)))
        if found is None or found[1] < self.sure:
            raise EarlyVerdict(Verdict.abstain("the language of the case's inputs is not clear"))
        return [found[0]]


def code_of(language: str) -> str:
    """Return `pt` of `pt-BR`: variants of a language are not distinguished."""
    return language.strip().lower().replace("_", "-").partition("-")[0]


def _codes_of(expected: JsonValue) -> list[str]:
    codes = [code_of(one) for one in (expected if isinstance(expected, list) else [expected]) if isinstance(one, str)]
    if not codes or not set(codes) <= set(LANGUAGES):
        what = f"the case's expected is {shown(expected)}; a language's code is needed, such as en"
        raise EarlyVerdict(Verdict.error(what))
    return codes


def _prose(text: str) -> str:
    """Return a piece of the beginning and of the end, without code, addresses, formulas and numbers."""
    text = _ends(text, _CLEANED)
    if any(map(text.__contains__, ("`", "://", "@", "\\"))):
        text = _MARKUP.sub(" ", text)
    return _ends(" ".join(_NO_LETTERS.sub(" ", text).split()), _READ)


def _ends(text: str, each: int) -> str:
    return text if len(text) <= 2 * each else f"{text[:each]} {text[-each:]}"


@cache
def _identifier() -> Identify:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*LANGUAGES, _NO_LANGUAGE])

    return identifier.classify  # type: ignore[no-any-return]
