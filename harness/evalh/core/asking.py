"""What a grader asks a model about one sample."""

from collections.abc import Mapping

from msgspec import field

from evalh.core.attempt import Purpose
from evalh.core.digest import JsonValue
from evalh.core.request import Message
from evalh.core.values import Value


class Form(Value, kw_only=True, eq=False):
    """Everything of a question but its words and its key. Made once for each grader, and known by its identity.

    `again`: the task's own settings hold, with `params` laid over them; otherwise `params` and the schema are all.
    """

    purpose: Purpose
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    output_schema: Mapping[str, JsonValue] | None = None
    again: bool = False

    def document(self) -> dict[str, JsonValue]:
        """Return what a grader's digest covers."""
        return {"params": dict(self.params), "output_schema": self.output_schema, "again": self.again}


class Question(Value, kw_only=True):
    """One question. `draw` tells apart what is asked several times in the same words."""

    form: Form
    messages: tuple[Message, ...]
    model: str | None = None  # a model or route of the workspace; None: the model that answered
    draw: int = 0
    shown: int = 1  # how often the answer stands in it: what a plan cannot know yet
    replies: int = 0  # how many earlier replies stand in it
