"""`cites`: the output cites only what was handed in. It needs no gold, so it can be a check of a pipeline's step."""

from collections.abc import Iterable, Iterator
from itertools import islice

from pydantic import Field

from evalh.core.prompt import INPUTS
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import EarlyVerdict, GradeContext, Verdict
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.paths import BadPath, NoPlace, Places
from evalh.graders.quoting import kind_of, shown
from evalh.graders.reading import Fenced, Unreadable, folded, output_json, strings_in

_MOST_QUOTES = 1_000
_MOST_WORK = 500_000_000  # quotes times the characters that are searched: half a second
_MOST_PARTS = 1_000  # places where a quote cuts a word, before the search is given up
_EXACT = 10**18  # larger numbers are written in base 16: Python refuses to write thousands of digits
_MARKS = dict.fromkeys(
    map(ord, '"`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u00ab\u00bb'), "'"
)
_MARKS |= dict.fromkeys(map(ord, "\u2039\u203a\u02bc\u300c\u300d\u300e\u300f"), "'")
_MARKS |= dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_MARKS |= dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"), "")


@built_in("cites")
class Cites(Fenced):
    """Every id that the output cites was in the inputs, and every quote occurs in them."""

    ids: str | None = Field(None, description="The place of the cited ids in the output's JSON: citations[*].id.")
    of: str | tuple[str, ...] = Field((), description="The place of the ids that may be cited: inputs.documents[*].id.")
    quotes: str | None = Field(None, description="The place of the quotes in the output's JSON: citations[*].quote.")
    within: str | tuple[str, ...] = Field(
        (), alias="in", description="The place of the texts that may be quoted: inputs.documents[*].text."
    )
    at_least: int = Field(0, ge=0, description="The smallest number of ids, and of quotes.")

    def compile(self, scope: Scope) -> Compiled:
        """Compile the paths. Raises WorkspaceError for one that cannot be read, and for one without its pair."""
        if self.ids is None and self.quotes is None:
            raise scope.wrong("needs something to look for", "state ids and of, quotes and in, or all four")
        ids, of = self._pair(scope, ("ids", self.ids), ("of", self.of))
        quotes, within = self._pair(scope, ("quotes", self.quotes), ("in", self.within))

        def judge(ctx: GradeContext) -> Verdict:
            said = []
            if ids is not None:
                said.append(self._enough(self._cited(ctx, ids, of), "id"))
            if quotes is not None:
                said.append(self._enough(self._quoted(ctx, quotes, within), "quote"))
            return Verdict.check(True, f"{' and '.join(said)}, all found")

        reads = (one.source for one in (*of, *within) if one.source != INPUTS)
        return Compiled(judge, reads=tuple(dict.fromkeys(reads)))

    def _pair(
        self, scope: Scope, cited: tuple[str, str | None], handed: tuple[str, str | tuple[str, ...]]
    ) -> tuple[Places | None, tuple["_HandedIn", ...]]:
        texts = (handed[1],) if isinstance(handed[1], str) else handed[1]
        if (cited[1] is None) != (not texts):
            stated, missing = (cited[0], handed[0]) if texts == () else (handed[0], cited[0])
            example = {"ids": "citations[*].id", "quotes": "citations[*].quote"}.get(missing, "inputs.documents[*]")
            raise scope.wrong(f"states {stated} but not {missing}", f"{missing}: {example}")
        try:
            places = None if cited[1] is None else Places.parse(cited[1])
            return places, tuple(_HandedIn.parse(text) for text in texts)
        except BadPath as exc:
            raise scope.wrong(f"cannot use this path: {exc}") from None

    def _enough(self, count: int, what: str) -> str:
        told = f"{count} {what}{'' if count == 1 else 's'}"
        if count < self.at_least:
            raise Unreadable(f"cites {told}; at least {self.at_least}")
        return told

    def _cited(self, ctx: GradeContext, ids: Places, of: Iterable["_HandedIn"]) -> int:
        """Check that every id was handed in; return their number. Raises EarlyVerdict."""
        known = {key for one in of for key in _known_ids(one, ctx)}
        count = 0
        for place, value in self._found(ctx, ids):
            key = _key(value)
            if key is None:
                hint = f"; its id may be {ids}[*].id" if isinstance(value, dict) else ""
                raise Unreadable(f"{place} is {kind_of(value)}, not an id{hint}")
            if key not in known:
                raise Unreadable(f"cites {shown(value)}, which is not in {_named(of)}{_silent(of, ctx)}")
            count += 1
        return count

    def _quoted(self, ctx: GradeContext, quotes: Places, within: Iterable["_HandedIn"]) -> int:
        """Check that every quote occurs in what was handed in; return their number. Raises EarlyVerdict."""
        wanted: dict[str, str] = {}
        for place, value in self._found(ctx, quotes):
            if not isinstance(value, str):
                raise Unreadable(f"{place} is {kind_of(value)}, not a text")
            quote = _plain(value).strip("' ")
            if not quote:
                raise Unreadable(f"{place} is an empty quote")
            wanted.setdefault(quote, value)
        if len(wanted) > _MOST_QUOTES:
            raise Unreadable(f"cites {len(wanted):,} quotes; at most {_MOST_QUOTES:,} can be checked")
        # A line end separates two texts, and no quote contains one.
        text = "\n".join(_plain(one) for each in within for _, value in each.find_all(ctx) for one in strings_in(value))
        if len(wanted) * len(text) > _MOST_WORK:
            raise EarlyVerdict(Verdict.error(f"too much to check: {len(wanted):,} quotes in {len(text):,} characters"))
        for quote, value in wanted.items():
            if not _stands(quote, text):
                raise Unreadable(f"{shown(value)} does not occur in {_named(within)}{_silent(within, ctx)}")
        return len(wanted)

    def _found(self, ctx: GradeContext, places: Places) -> Iterator[tuple[str, JsonValue]]:
        """Yield what the output cites: nothing for null, and the items of a list. Raises Unreadable."""
        value = output_json(ctx, fenced=self.fenced)
        try:
            for place, found in places.find_all(value):
                if isinstance(found, list):
                    yield from ((f"{place}[{number}]", item) for number, item in enumerate(found))
                elif found is not None:
                    yield place, found
        except NoPlace as exc:
            raise Unreadable(f"the output's JSON cites nothing: {exc}") from None


class _HandedIn(Value):
    """A place in what was handed in: the inputs, or the output of a step."""

    source: str  # INPUTS, or a step's name
    places: Places

    @classmethod
    def parse(cls, text: str) -> "_HandedIn":
        places = Places.parse(text)
        first = next(iter(places.paths[0].steps), None)
        if not isinstance(first, str):
            raise BadPath(
                f"{text!r} does not begin with a name: write inputs.documents, or a step and a path in its output"
            )
        return cls(first, places)

    def find_all(self, ctx: GradeContext) -> Iterator[tuple[str, JsonValue]]:
        """Yield the values at the place; none for a step that did not run. Raises EarlyVerdict."""
        if self.source != INPUTS and self.source not in ctx.steps:
            return
        value = ctx.inputs if self.source == INPUTS else ctx.steps[self.source].output
        try:
            yield from self.places.find_all({self.source: value})
        except NoPlace as exc:
            raise EarlyVerdict(Verdict.error(str(exc))) from None


def _known_ids(handed: _HandedIn, ctx: GradeContext) -> Iterator[str]:
    """Yield the ids at a place: the value itself, a list's items, or an object's keys. Raises EarlyVerdict."""
    for place, value in handed.find_all(ctx):
        items = list(value) if isinstance(value, dict | list | tuple) else [] if value is None else [value]
        for item in items:
            key = _key(item)
            if key is None:
                raise EarlyVerdict(Verdict.error(f"{place} is {kind_of(item)}, not an id: write {place}[*].id"))
            yield key


def _key(value: JsonValue) -> str | None:
    """Return an id as it is compared, so that 7 equals "7"; None if the value is not an id."""
    if isinstance(value, str):
        return str(folded(value, trim=True, form="nfc"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return str(value)
    number = int(value)
    return str(number) if abs(number) < _EXACT else hex(number)


def _plain(text: str) -> str:
    """Normalize what a quote may change: case, blanks and line ends, quotation marks, dashes, compatibility forms."""
    text = str(folded(text.translate(_MARKS), ignore_case=True, form="nfkc"))
    return " ".join(text.translate(_MARKS).split())


def _stands(quote: str, text: str) -> bool:
    """Whether a quote occurs in a text without cutting a word or number: "able to pay" is not in "unable to pay"."""
    at = text.find(quote)
    for _ in range(_MOST_PARTS):
        if at < 0:
            return False
        end = at + len(quote)
        if not (_joined(text[at - 1 : at], quote[0]) or _joined(quote[-1], text[end : end + 1])):
            return True
        at = text.find(quote, at + 1)
    return False


def _joined(one: str, next_one: str) -> bool:
    """Whether two characters belong to one word or number. Scripts without upper case may not use blanks."""
    return bool(one and next_one) and all(each.isdecimal() or each.upper() != each.lower() for each in one + next_one)


def _named(handed: Iterable[_HandedIn]) -> str:
    return " or ".join(str(one.places) for one in islice(handed, 3))


def _silent(handed: Iterable[_HandedIn], ctx: GradeContext) -> str:
    """Name a step that did not run, if that may be why something was not handed in."""
    silent = [one.source for one in handed if one.source != INPUTS and one.source not in ctx.steps]
    return f": the step {silent[0]!r} did not run" if silent else ""
