"""One grader as a suite and a route's checks list it: a kind, or one `kind: parameters`.

An entry is read in two steps: here its form, and by the registry the parameters of its kind.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeAlias

from pydantic import AfterValidator

from evalh.core.declared import Refused, Words
from evalh.core.located import kind_of
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec


class Entry(NamedTuple):
    """What an entry states; None and "" where it does not."""

    kind: str
    params: Mapping[str, JsonValue]
    name: str = ""
    required: bool | None = None

    def spec(self, where_of: Callable[..., str], *, name: str = "", required: bool = True) -> GraderSpec:
        """Return the grader's specification; what the entry states goes before what is given here.

        `where_of`: the place of the entry, and of a path inside it.
        """
        return GraderSpec(
            kind=self.kind,
            name=self.name or name,
            params=self.params,
            required=required if self.required is None else self.required,
            where=where_of(),
            places=partial(where_of, self.kind),
        )


def _read(entry: JsonValue) -> Entry:
    if isinstance(entry, str) and entry.strip():
        return Entry(entry, {})
    if not isinstance(entry, Mapping) or not entry or not next(iter(entry)):
        raise Refused(f"a grader is a name or one `name: parameters`, not {_found(entry)}")
    kind = next(iter(entry))
    if len(entry) > 1:
        raise Refused(
            f"one grader per entry; this one has the keys {', '.join(map(repr, entry))}",
            f"write parameters inside it: {kind}: {{…}}",
        )
    params = {} if entry[kind] is None else entry[kind]
    if not isinstance(params, Mapping):
        return Entry(kind, {"value": params})
    required, name = params.get("required"), params.get("name")
    if "required" in params and not isinstance(required, bool):
        raise Refused(f"'required' must be true or false, not {kind_of(required)}", at=(kind, "required"))
    if "name" in params and not (isinstance(name, str) and name.strip()):
        raise Refused("'name' must be text that is not empty", at=(kind, "name"))
    own = {key: value for key, value in params.items() if key not in ("required", "name")}
    return Entry(kind, own, name or "", required)


def _found(entry: JsonValue) -> str:
    return "text that is empty" if isinstance(entry, str) else "an empty mapping" if entry == {} else kind_of(entry)


SuiteEntry: TypeAlias = Annotated[Any, AfterValidator(_read), Words("a grader", "- schema")]
RouteEntry: TypeAlias = Annotated[
    Any, AfterValidator(_read), Words("a grader", 'checks = ["schema", {contains = "because"}]')
]
StepEntry: TypeAlias = Annotated[Any, AfterValidator(_read), Words("a grader", "checks: [schema]")]
