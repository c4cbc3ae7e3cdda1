"""What judges said, from the log alone: nothing is sent, and nothing is written down."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field

from evalh.core.asking import Form, Question
from evalh.core.attempt import Answer, CallKey, NotSent
from evalh.core.request import Request, Settings
from evalh.core.values import Value
from evalh.routing.target import Target

if TYPE_CHECKING:
    from evalh.store import SqliteStore


class Recall(Struct):
    """Finds replies of the models that graders name."""

    store: "SqliteStore"
    resolve: Callable[[str, Form], Target]
    _known: dict[tuple[str, int], tuple[Form, Settings, bool]] = field(default_factory=dict)

    def about(self, key: CallKey) -> "Recalling":
        """Return who is asked about one answer."""
        return Recalling(self, key)

    def find(self, question: Question, about: CallKey) -> Answer | None:
        """Return the log's reply. Raises EvalhError for a model that is no longer there."""
        form, model = question.form, question.model
        if model is None:  # the model that answered: which that was, only its run knew
            return None
        if (model, id(form)) not in self._known:
            target = self.resolve(model, form)
            # The form is kept, so that its id stays its own.
            self._known[model, id(form)] = (form, target.settings(), target.chooses)
        _, settings, routed = self._known[model, id(form)]
        key = CallKey(about.case_id, about.trial, about.step, question.draw)
        return self.store.find_all([(Request(question.messages, settings).digest(), key)], routed=routed)[0]


class Recalling(Value):
    """`core.verdict.Asker` for one answer."""

    recall: Recall
    key: CallKey

    async def ask(self, question: Question) -> Answer:
        """Return the log's reply. Raises NotSent, EvalhError."""
        found = self.recall.find(question, self.key)
        if found is None:
            raise NotSent("the log holds no such judgement")
        return found
