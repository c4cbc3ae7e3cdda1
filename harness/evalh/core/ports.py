"""Ports: what code that decides needs from the outside world. It receives them as arguments.

Every adapter (files, git, HTTP, SQLite, a clock) implements one of them; tests pass their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from evalh.core.attempt import Answer, AttemptEnd, AttemptStart, Call, CallKey, Completion, Decision, Usage
from evalh.core.case import Case
from evalh.core.model import Traits
from evalh.core.request import Message, Request
from evalh.core.run import RunRecord, RunStatus, RunSummary
from evalh.core.sample import Sample
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import GradeContext, Verdict


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Provider(Protocol):
    """Something that answers requests: the client of a model, or logic around other providers."""

    @property
    def name(self) -> str:
        """The name in the workspace, such as `small`."""

    @property
    def kind(self) -> str:
        """The provider's word in evalh.toml, such as `openai`."""

    @property
    def model(self) -> str:
        """The model's name on the wire."""

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """What is physically addressed: `Settings.sent_to`. Never contains a key."""

    @property
    def traits(self) -> Traits:
        """The properties of its kind."""

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """The workspace's overrides of a prompt's params; null removes one."""

    @property
    def max_in_flight(self) -> int | None:
        """The most calls in flight; None: no limit."""

    async def open(self) -> None:
        """Get ready: load weights, check the key. Raises EvalhError."""

    async def send(self, request: Request, call: Call) -> Completion:
        """Answer. Raises CallError."""

    async def close(self) -> None:
        """Release everything; safe to call twice."""


class Pricer(Protocol):
    """The price of one model."""

    def cost(self, usage: Usage, seconds: float | None) -> Decimal | None:
        """Price one answer in USD; None if unknown. `seconds` is None before anything was sent."""


class Prices(Protocol):
    """Where prices come from."""

    def find(self, provider: Provider) -> Pricer | None:
        """Return the model's price; None: not priced."""


class Template(Protocol):
    """A compiled prompt version."""

    @property
    def plain_inputs(self) -> frozenset[str] | None:
        """The inputs that suffice if each is text; None: only rendering tells."""

    def render(self, inputs: Mapping[str, JsonValue]) -> tuple[Message, ...]:
        """Fill the slots. Raises WorkspaceError that names the missing variable."""


class Tree(Protocol):
    """Files at one revision: the work tree, or a commit. Paths are relative, with `/`."""

    @property
    def revision(self) -> str | None:
        """The revision as the user wrote it; None: the work tree."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError."""

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names of the files and folders in a folder; empty if there is no such folder."""


class Cases(Protocol):
    """A dataset, streamed."""

    @property
    def text_inputs(self) -> frozenset[str]:
        """Inputs that every row has as text."""

    @property
    def some_inputs(self) -> frozenset[str]:
        """Inputs that at least one row has, or may have."""

    @property
    def digest(self) -> str:
        """The order-free digest of all rows."""

    @property
    def clusters(self) -> Mapping[int, int]:
        """The number of the cluster by a row's place, for clusters of several rows."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __iter__(self) -> Iterator[Case]:
        """Read the rows in file order."""


class CallLog(Protocol):
    """Where attempts are recorded. Methods return at once; what they receive is durable within 50 ms."""

    def blocked(self) -> str | None:
        """Return why nothing could be stored for at least a second; None: it can. Raises EvalhError."""

    def begin(self, start: AttemptStart) -> None:
        """Record a request that is being sent."""

    def end(self, end: AttemptEnd) -> None:
        """Record its end."""

    def decide(self, decision: Decision) -> None:
        """Record a decision."""

    def conclude(self, call: Call, *, cache_hit: bool) -> None:
        """Record a call that belongs to no sample, at its end."""


class Store(CallLog, Protocol):
    """Where runs are kept."""

    def start_run(self, record: RunRecord) -> None:
        """Add a run's row; samples may follow. Returns when it is durable, or the log is blocked."""

    def find(self, request_digest: str, key: CallKey) -> Answer | None:
        """Return the newest successful answer to this request for this key."""

    def find_all(self, wanted: Sequence[tuple[str, CallKey]], *, routed: bool = False) -> list[Answer | None]:
        """Return the newest successful answer for each (request digest, key), in their order.

        `routed`: the requests belong to a route that chooses the model; its answers are found by the call.
        """

    def begun(self, request_digest: str, key: CallKey) -> bool:
        """Return whether such a request ever left, whatever became of it."""

    def flush(self) -> None:
        """Return when everything that was handed over is durable. Raises EvalhError when it cannot be."""

    def add_sample(self, run_id: str, sample: Sample, call: Call | None) -> None:
        """Record a sample with its verdicts, and its call."""

    def finish_run(self, run_id: str, status: RunStatus, summary: RunSummary, reason: str | None) -> None:
        """Complete a run's row. Returns when everything is durable, or the log is blocked."""


class Progress(Protocol):
    """Where progress is shown."""

    def start(self, label: str, total: int, *, at_most: bool = False) -> None:
        """Show that a run of so many samples begins; `at_most`: it ends earlier where it is decided earlier."""

    def advance(self, sample: Sample) -> None:
        """Count one more finished sample."""

    def note(self, text: str) -> None:
        """Show a notice at once."""

    def window(self, model: str, size: int, ceiling: int, because: str) -> None:
        """Show a model's window of requests: after it shrank, and while it grows back to its ceiling.

        `because` is the reason for the last decrease: `429 from openai`.
        """

    def waiting(self, seconds: float, because: str) -> None:
        """Show how long requests wait, and for what: `rate limit of openai:gpt-5`."""

    def paused(self, because: str | None) -> None:
        """Show why nothing is sent; None: sending goes on. Called repeatedly while it lasts."""

    def stop(self) -> None:
        """Show that the run is over."""


class Check(Protocol):
    """A grader that needs no gold; a route may use it."""

    @property
    def name(self) -> str:
        """The name in reports."""

    async def check(self, ctx: GradeContext) -> Verdict:
        """Judge the output."""
