"""On whose word a comparison rests: its judges, and whether they err differently on its two sides."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.calibrating import Judged, votes
from evalh.analysis.pairing import Results
from evalh.analysis.shifting import Named, version_difference
from evalh.core.calibration import JudgeStanding
from evalh.core.label import GOOD, Label
from evalh.core.verdict import Outcome
from evalh.workspace.labels import read_labels

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def labels_of(workspace: "Workspace", suite: str, judges: Sequence[JudgeStanding]) -> tuple[Label, ...]:
    """Read people's labels of a suite, where a judge has a say in it. Raises WorkspaceError."""
    return read_labels(workspace.tree, workspace.config.datasets_dir, suite) if judges else ()


def between(
    judges: Sequence[JudgeStanding], labels: Sequence[Label], base: Results, head: Results
) -> tuple[JudgeStanding, ...]:
    """Hold each judge's difference of the two sides against people's, as far as labels cover both."""
    found = []
    for judge in judges:
        about = judge.judge if any(label.about == judge.judge for label in labels) else GOOD
        people = votes(label for label in labels if label.about == about)
        sides = [
            (Named(name=f"{side.prompt} on {side.model}", run=side.run), tuple(_judged(side, judge.judge, about)))
            for side in (base, head)
        ]
        difference = version_difference(sides[0], sides[1], people) if people else None
        found.append(replace(judge, difference=difference))
    return tuple(found)


def _judged(side: Results, judge: str, about: str) -> Iterator[Judged]:
    for case in side.cases.values():
        for sample in case.samples:
            outcome = sample.outcomes.get(judge)
            if outcome in (Outcome.PASS, Outcome.FAIL) and sample.row_digest and sample.output_digest:
                stratum = str(sample.standing if about == GOOD else outcome)
                yield Judged((sample.row_digest, sample.output_digest), stratum, outcome is Outcome.PASS)
