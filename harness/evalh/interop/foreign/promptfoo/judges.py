"""The models that judge: stated by a test or an assertion, or left to be chosen."""

from collections.abc import Mapping

from evalh.core.digest import canonical
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.entries import NoEntryError
from evalh.interop.foreign.promptfoo.nodes import Node
from evalh.interop.foreign.promptfoo.providers import ForeignModel, ProviderReader
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject

_PLACE = ("defaultTest", "options", "provider")
_OPEN = "openai:gpt-4.1"
_EMBEDDINGS = "openai:embedding:text-embedding-3-large"


class Judges:
    """Gives each stated judge a model, once."""

    def __init__(self, root: Node, reader: ProviderReader, sheet: ProofSheet) -> None:
        self._root, self._reader, self._sheet = root, reader, sheet
        self._found: dict[bytes, ForeignModel] = {}

    @property
    def models(self) -> tuple[ForeignModel, ...]:
        """The models that judge."""
        return tuple(self._found.values())

    def of(self, stated: JsonValue) -> str:
        """Return the name of the model that a statement means; of an open one for null. Raises NoEntryError."""
        embedding = isinstance(stated, Mapping) and set(stated) == {"embedding"}
        if isinstance(stated, Mapping) and (embedding or "id" not in stated):
            stated = stated.get("embedding") if embedding else stated.get("text")
        label = "embed" if embedding else "judge"
        key = canonical([label, stated])
        if key not in self._found:
            self._found[key] = self._made(stated, label)
        return self._found[key].name

    def _made(self, stated: JsonValue, label: str) -> ForeignModel:
        default = _EMBEDDINGS if label == "embed" else _OPEN
        identity = stated.get("id") if isinstance(stated, Mapping) else stated
        if label == "embed" and str(identity or default).split(":")[1:2] not in (["embedding"], ["embeddings"]):
            stated = None  # a judge for texts
        if stated is None:
            why = "no model is stated: promptfoo chooses one by the keys in the environment"
            do = f"set [models.{label}] in evalh.toml to the one that you use"
            where = self._root.where
            self._sheet.add(Fidelity.NEAR, where, f"the model {label!r}", why, subject=Subject.MODEL, do=do)
        value = {"id": default if stated is None else identity, "label": label}
        if isinstance(stated, Mapping) and "config" in stated:
            value["config"] = stated["config"]
        root = self._root
        model = self._reader.model(Node(value, root.document, _PLACE, root.files, root.base))
        if model is None:
            raise NoEntryError(f"its judge {identity} is not a model that evalh reaches")
        return model
