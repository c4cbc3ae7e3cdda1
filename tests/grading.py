"""What graders get without a workspace: no model, no file and no function."""

from collections.abc import Callable
from typing import Any

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.graders.judges.asking import JudgePrompt, RubricText
from evalh.graders.kinds import GraderEnvironment


class NoModels:
    def require(self, name: str, where: str, *, embeds: bool = False) -> None:
        raise WorkspaceError(f"no model {name!r} can be asked here", where=where)

    def document(self, name: str) -> JsonValue:
        return name

    def holds_schema(self, name: str | None) -> bool:
        return False


class NoTexts:
    def rubric(self, path: str, where: str) -> RubricText:
        raise WorkspaceError(f"no rubric {path!r} can be read here", where=where)

    def prompt(self, reference: str, where: str) -> JudgePrompt:
        raise WorkspaceError(f"no prompt {reference!r} can be read here", where=where)

    def script(self, path: str, where: str) -> str | None:
        raise WorkspaceError(f"no code {path!r} can be read here", where=where)


def no_functions(path: str) -> Callable[..., Any]:
    raise WorkspaceError(f"{path!r} cannot be loaded: graders were given no function loader")


def environment(**handed: Any) -> GraderEnvironment:
    return GraderEnvironment(
        **{"load_function": no_functions, "kinds": {}, "models": NoModels(), "texts": NoTexts(), **handed}
    )
