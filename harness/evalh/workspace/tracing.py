"""`[trace]` of evalh.toml: what is kept of production's calls, and for how long.

The tracer in a program reads the same table by itself (`evalh_trace.config`), without this package.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import field
from pydantic import Field, field_validator

from evalh.core.declared import FileModel, Refused, Text, Texts, Words
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

_AGE = re.compile(r"([1-9]\d{0,4})([hd])")
_SECONDS = {"h": 3_600.0, "d": 86_400.0}
_ALWAYS = re.compile(r"error|check|feedback|slow:\d+(\.\d+)?s")


class SampleTable(FileModel):
    """`[trace.sample]`: which workflows are kept, decided when they end."""

    rate: float = Field(1.0, ge=0, le=1, description="The share of workflows that is kept, chosen at random.")
    always: Texts = Field((), description="Workflows that are always kept: error, check, feedback, slow:10s.")

    @field_validator("always")
    @classmethod
    def _is_known(cls, always: tuple[str, ...]) -> tuple[str, ...]:
        for place, word in enumerate(always):
            if not _ALWAYS.fullmatch(word):
                raise Refused(f"unknown reason {word!r}", 'one of "error", "check", "feedback", "slow:10s"', (place,))
        return always


class TraceTable(FileModel):
    """`[trace]`: what is kept of production's calls."""

    content: bool = Field(default=False, description="Keep messages, inputs and outputs.")
    redact: tuple[Any, ...] = Field(
        (), description='What is replaced before anything is written: "email", {pattern = "…"}, {field = "…"}.'
    )
    sample: SampleTable = Field(default_factory=SampleTable.model_construct)
    keep: Annotated[Text, Words(hint='keep = "30d"')] | None = Field(
        None, description="How long workflows are kept: 12h, 30d. Default: for ever."
    )
    store: Text | None = Field(None, description="The folder of production.db. Default: the log's.")

    @field_validator("redact")
    @classmethod
    def _can_be_read(cls, redact: tuple[Any, ...]) -> tuple[Any, ...]:
        from evalh_trace.config import problems

        for place, rule in enumerate(redact):
            if wrong := problems({"redact": [rule]}):  # the tracer would keep no content at all
                what = wrong[0].removeprefix("redact: ")
                raise Refused(what, 'redact = ["email", {pattern = "…"}, {field = "…"}]', (place,))
        return redact

    @field_validator("keep")
    @classmethod
    def _is_an_age(cls, keep: str) -> str:
        if not _AGE.fullmatch(keep):
            raise Refused(f"{keep!r} is not an age", 'keep = "30d"')
        return keep

    def settings(self) -> "TraceSettings":
        """Return what the table says."""
        age = None if self.keep is None else _AGE.fullmatch(self.keep)
        stated = {str(name): getattr(self, name) for name in ("content", "redact") if name in self.model_fields_set}
        return TraceSettings(
            content=self.content,
            redact=self.redact,
            stated=stated,
            keep_s=None if age is None else int(age[1]) * _SECONDS[age[2]],
            store=self.store,
        )


class TraceSettings(Value, kw_only=True):
    """What `[trace]` says. Content is off unless it or `redact` is stated."""

    content: bool = False
    redact: tuple[JsonValue, ...] = ()
    stated: Mapping[str, JsonValue] = field(default_factory=dict)  # of `content` and `redact`, as it was written
    keep_s: float | None = None  # how long workflows are kept; None: for ever
    store: str | None = None  # the folder of production.db; None: the log's
