"""A step: one prompt call. A plain suite is a pipeline with one step."""

from collections.abc import Mapping

from msgspec.structs import force_setattr

from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.ports import Provider, Template
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, Settings
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.routing.target import addressed


def merged_params(version: Mapping[str, JsonValue], model: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Override the version's params with the model's; null removes what a model refuses."""
    return {name: value for name, value in {**version, **model}.items() if value is not None}


def settings_for(version: PromptVersion, provider: Provider) -> Settings:
    """Build everything of a step's requests but the messages."""
    return Settings(
        model=provider.model,
        sent_to=addressed(provider),
        params=merged_params(version.params, provider.params),
        tools=version.tools,
        json_output=version.json_output,
        output_schema=version.output_schema,
        stream=provider.params.get("stream") is True,
        reads_inputs=getattr(provider, "reads_inputs", False),
    )


class Step(Value):
    """Turns a case into the request that is sent."""

    template: Template
    settings: Settings
    name: str | None = None  # None: the only step of a plain suite
    settings_digest: str = ""  # of the settings, computed

    def __post_init__(self) -> None:
        force_setattr(self, "settings_digest", digest(self.settings.document()))

    def request(self, case: Case) -> Request:
        """Render the case. Raises WorkspaceError that names a missing variable."""
        return Request(self.template.render(case.inputs), self.settings, self.settings_digest, case.inputs)
