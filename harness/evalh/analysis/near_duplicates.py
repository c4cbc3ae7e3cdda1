"""Cases that look as if they were made from one template: the same text but for names and numbers.

The result is a proposal, never assumed: a person names the clusters in the dataset.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from evalh.core.case import Case
from evalh.core.digest import canonical
from evalh.core.ports import Cases
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.stats.clusters import grouped, number_of_clusters

SIMILAR = 0.8  # of the masked text's shingles, both cases have so many in common
_SHINGLE = 3  # words
_FEWEST_WORDS = 5  # a shorter text is alike to too many
_MOST_WORDS = 2000  # of a text: what follows changes no proposal
_PERMUTATIONS = 128
_CROWD = 50
_LOOKED_AT = 0.6  # what may be similar by its hashes, and is compared
_AROUND_A_WORD = ".,;:!?\"'()[]{}<>«»“”\u2018\u2019…"
_END_OF_SENTENCE = (".", "!", "?", ":")


class Proposal(Value):
    """Cases that are alike, and what they look like. They lie in several clusters as the dataset stands."""

    cluster: str  # a name for it, that no row has
    cases: tuple[str, ...]
    texts: tuple[str, ...]  # of the first two


class Proposals(Value):
    """What was found in one dataset."""

    dataset: str
    cases: int
    clusters: int  # as the dataset stands
    proposed: tuple[Proposal, ...]  # the largest first


def propose(dataset: str, cases: Cases, *, fast: bool = False) -> Proposals:
    """Find cases that are alike. `fast`: only those whose texts are equal once names and numbers are masked."""
    known: list[tuple[Case, int]] = [(case, cases.clusters.get(place, -1 - place)) for place, case in enumerate(cases)]
    words = [masked(text_of(case.inputs)) for case, _ in known]
    equal = ([text] if len(text) >= _FEWEST_WORDS else [] for text in words)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(grouped(equal if fast else _similar(words))):
        members[number].append(place)
    several = (places for places in members.values() if len({known[place][1] for place in places}) > 1)
    names = {case.cluster for case, _ in known}
    proposed = [
        Proposal(
            _new_name(known[places[0]][0].id, names),
            tuple(known[place][0].id for place in places),
            tuple(text_of(known[place][0].inputs) for place in places[:2]),
        )
        for places in sorted(several, key=len, reverse=True)
    ]
    return Proposals(dataset, len(known), number_of_clusters(len(known), cases.clusters), tuple(proposed))


def near(inputs: JsonValue, cases: Iterable[Case]) -> Iterator[Case]:
    """Yield the cases whose texts are nearly those of these inputs."""
    words = masked(text_of(inputs))
    own = _shingles(words)
    for case in cases:
        others = masked(text_of(case.inputs))
        if len(words) < _FEWEST_WORDS or len(others) < _FEWEST_WORDS:
            alike = words == others
        else:
            shingles = _shingles(others)
            alike = len(own & shingles) >= SIMILAR * len(own | shingles)
        if alike:
            yield case


def _shingles(words: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(zip(*(words[at:] for at in range(_SHINGLE)), strict=False))


def _new_name(case_id: str, names: set[str | None]) -> str:
    """Name a cluster after its first case, as no other is called."""
    name = first = f"like-{case_id.strip()}"
    number = 2
    while name in names:
        name, number = f"{first}-{number}", number + 1
    names.add(name)
    return name


def text_of(inputs: JsonValue) -> str:
    """Return the texts of a case's inputs, one after the other; what is not text is JSON."""
    return "\n".join(
        value if isinstance(value, str) else canonical(value).decode(errors="replace")
        for _, value in sorted(inputs.items())
    )


def masked(text: str) -> tuple[str, ...]:
    """Split a text into words, with names and numbers masked.

    A word with a digit is a number; one that is capitalised within a sentence is a name.
    """
    words, begins = [], True
    for word in islice((word for line in text.splitlines() for word in line.split()), _MOST_WORDS):
        bare = word.strip(_AROUND_A_WORD)
        if any(char.isdigit() for char in bare):
            words.append("0")
        elif bare[:1].isupper() and not begins:
            words.append("N")
        elif bare:
            words.append(bare.casefold())
        begins = word.endswith(_END_OF_SENTENCE)
    return tuple(words)


def _similar(texts: Sequence[tuple[str, ...]]) -> Iterator[list[object]]:
    """Tie cases by MinHash (Broder 1997) over shingles of three words; what it finds is compared exactly."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=_LOOKED_AT, num_perm=_PERMUTATIONS, weights=(0.2, 0.8))  # it misses few
    kept: dict[int, frozenset[tuple[str, ...]]] = {}
    first: dict[tuple[str, ...], int] = {}  # equal texts are looked up once: ten thousand copies stay cheap
    for place, words in enumerate(texts):
        if len(words) < _FEWEST_WORDS:
            yield []
            continue
        if words in first:
            yield [first[words]]
            continue
        shingles = _shingles(words)
        hashed = MinHash(num_perm=_PERMUTATIONS)
        hashed.update_batch([" ".join(one).encode() for one in shingles])
        looked_at = index.query(hashed)
        shares = ((at, len(shingles & kept[at]) / len(shingles | kept[at])) for at in looked_at[:_CROWD])
        near = next((at for at, share in shares if share >= SIMILAR), None)
        # Kept are texts that are like no earlier one, and few that are nearly so: many rows cost no square.
        if near is None and len(looked_at) < _CROWD:
            index.insert(place, hashed)
            kept[place] = shingles
        first[words] = place if near is None else near
        yield [first[words]]
