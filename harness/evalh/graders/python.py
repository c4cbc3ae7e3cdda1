"""`python`: a function of the workspace judges."""

import inspect
from typing import Annotated

import msgspec
from msgspec import Meta

from evalh.core.strict_json import JsonValue
from evalh.graders.functions import declared_parameters, judging
from evalh.graders.kinds import Compiled, Parameters, Scope, accept, built_in


@built_in("python", short="function")
class Python(Parameters, frozen=True, kw_only=True):
    """A function of the workspace, or of an installed package, says a verdict or a bool.

    `semantics` does nothing but change the digest: raise it when the function judges differently than before.
    """

    function: str
    args: dict[str, JsonValue] = msgspec.field(default_factory=dict)
    deadline_s: Annotated[float, Meta(gt=0)] | None = None
    semantics: int = 1

    def compile(self, scope: Scope) -> Compiled:
        """Load the function and check `args` against its signature."""
        function = scope.function(self.function)
        if inspect.isclass(function):
            raise scope.wrong(f"needs a function, and {self.function!r} is a class")
        declared = declared_parameters(function, self.function)
        accepted = accept(declared, self.args, self.function, scope.spec.where)
        deadline_s = self.deadline_s or scope.environment.deadline_s
        return Compiled(judging(function, msgspec.structs.asdict(accepted), deadline_s, may_say_bool=True))
