"""Which outputs to show a person next.

Within a stratum the order is a hash, so what was labelled so far is a random sample of the stratum, whenever the
person stops; which is what estimating a judge's errors rests on. The order is the cases': outputs of one case come near
each other, so that labels cover both sides of a comparison, whichever two versions it is of. Between strata the turn is
the one's that has the fewest labels: twenty labels of what a judge passes teach little about what it refuses.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from hashlib import sha256

from evalh.core.label import Candidate


def ordered(candidates: Iterable[Candidate], labelled: AbstractSet[tuple[str, str]], seed: str) -> list[Candidate]:
    """Return what is not labelled yet, in the order in which to ask. Equal outputs for a case are asked once."""
    distinct = {candidate.shown: candidate for candidate in candidates}
    have = Counter(one.stratum for shown, one in distinct.items() if shown in labelled)
    strata: dict[str, list[Candidate]] = {}
    for candidate in sorted(distinct.values(), key=lambda one: _place(one, seed), reverse=True):
        if candidate.shown not in labelled:
            strata.setdefault(candidate.stratum, []).append(candidate)
    chosen = []
    while strata:
        stratum = min(strata, key=lambda name: (have[name], name))
        chosen.append(strata[stratum].pop())
        have[stratum] += 1
        if not strata[stratum]:
            del strata[stratum]
    return chosen


def _place(candidate: Candidate, seed: str) -> bytes:
    case, both = ("|".join((seed, *part)) for part in (candidate.shown[:1], candidate.shown))
    return b"".join(sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (case, both))
