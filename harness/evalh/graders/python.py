"""`python`: a function of the workspace judges."""

import inspect
from functools import partial

from pydantic import Field

from evalh.core.declared import read
from evalh.core.strict_json import JsonValue
from evalh.graders.functions import arguments_of, declared_parameters, judging
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in


@built_in("python", short="function")
class Python(Parameters):
    """A function of the workspace, or of an installed package, says a verdict or a bool.

    `semantics` does nothing but change the digest: raise it when the function judges differently than before.
    """

    function: str = Field(description="evals/checks.py:polite, or package.module:polite.")
    args: dict[str, JsonValue] = Field(default_factory=dict, description="The function's keyword-only parameters.")
    deadline_s: float | None = Field(None, gt=0, description="Seconds that one call may take; without it, 10.")
    semantics: int = Field(1, description="Raise it when the function judges differently than before.")

    def compile(self, scope: Scope) -> Compiled:
        """Load the function and check `args` against its signature."""
        function = scope.function(self.function)
        if inspect.isclass(function):
            raise scope.wrong(f"needs a function, and {self.function!r} is a class")
        declared = declared_parameters(function, self.function)
        accepted = read(declared, self.args, partial(scope.spec.where_of, "args"), f"grader {self.function!r}")
        deadline_s = self.deadline_s or scope.environment.deadline_s
        return Compiled(judging(function, arguments_of(accepted), deadline_s, may_say_bool=True))
