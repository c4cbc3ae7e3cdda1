"""Labels: what a person said of an output."""

from evalh.core.values import Value

GOOD = "good"
"""What is asked by default: is this output good? Otherwise `about` is a grader's name: would it pass?"""


class Label(Value, kw_only=True):
    """One answer of one person. It belongs to the very row and the very output that were shown."""

    case_id: str
    case_digest: str
    output_digest: str
    about: str
    good: bool
    author: str
    at: str  # UTC, 2026-07-28T10:15:00Z
    note: str | None = None

    @property
    def item(self) -> tuple[str, str, str]:
        """What was labelled: two people who saw the same have the same item."""
        return (self.about, self.case_digest, self.output_digest)


class Candidate(Value, kw_only=True):
    """An output that may be labelled. `stratum` is what evalh thinks of it, which the person is not told."""

    case_id: str
    case_digest: str
    output_digest: str
    stratum: str  # good, bad, ungraded; or one grader's outcome
    run_id: str
    trial: int

    @property
    def shown(self) -> tuple[str, str]:
        """What a person would see: the row and the output."""
        return (self.case_digest, self.output_digest)
