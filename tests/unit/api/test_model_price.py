"""A price per hour becomes a price for tokens, by how fast the model reads and writes alone."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from evalh.api.event_loop import SystemClock
from evalh.api.local_models import measure_price
from evalh.api.workspace import Workspace
from evalh.core.attempt import Call, Completion, Usage
from evalh.core.errors import CannotMeasure, NotFound, UsageError
from evalh.core.request import Request
from faults.running import here
from workspaces import chat_server, write_workspace

HOURLY = (
    'provider = "scripted"\nmodel = "script-1"\ndefault = "{\\"label\\": \\"billing\\"}"\nprice = {per_hour = 3.6}\n'
)


class Metered:
    """A model with a clock of its own: it reads a token in 1 ms and writes one in 20, on an idle machine."""

    name = "small"
    kind = "scripted"
    model = "script-1"
    identity: ClassVar[dict[str, Any]] = {}
    params: ClassVar[dict[str, Any]] = {}
    max_in_flight = None

    def __init__(self, spec: object) -> None:
        self.spec = spec
        self._now = 0.0
        self._asked = 0

    def monotonic(self) -> float:
        return self._now

    async def open(self) -> None:
        """Be ready."""

    async def close(self) -> None:
        """Be done."""

    async def send(self, request: Request, call: Call) -> Completion:
        del call
        self._asked += 1
        (part,) = request.messages[0].parts
        read, written = len(str(part).split()), min(int(str(request.settings.params["max_tokens"])), 60)
        disturbed = 4.0 if self._asked % 3 == 0 else 1.0
        self._now += (0.001 * read + 0.02 * written) * disturbed
        return Completion(text="no", usage=Usage(read, written))


def test_tokens_cost_what_they_take_of_an_hour_however_busy_the_machine_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.open(write_workspace(tmp_path, model=HOURLY))
    metered = Metered(workspace.config.models["small"])
    monkeypatch.setattr(Workspace, "provider", lambda *_: metered)

    found = measure_price(workspace, "small", metered)  # type: ignore[arg-type]

    assert (float(found.input_usd), float(found.output_usd)) == pytest.approx((1.0, 20.0), rel=0.01)
    assert (found.read_tokens_per_s, found.written_tokens_per_s) == pytest.approx((1000.0, 50.0), rel=0.01)


def test_a_model_that_is_not_priced_by_the_hour_needs_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no price per hour"):
        measure_price(Workspace.open(write_workspace(tmp_path)), "small", SystemClock())


def test_a_name_that_is_not_a_model_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no model 'smal'") as caught:
        measure_price(Workspace.open(write_workspace(tmp_path, model=HOURLY)), "smal", SystemClock())

    assert caught.value.hint == "did you mean 'small'?"


def test_times_that_tell_nothing_are_no_price(tmp_path: Path) -> None:
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path, model=f"{model.split('price')[0]}price = {{per_hour = 1}}\n")
        with pytest.raises(CannotMeasure, match="do not separate"):
            measure_price(Workspace.open(folder), "small", SystemClock())


def test_beside_a_price_per_hour_stands_that_a_busy_machine_makes_it_dearer(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=3, model=HOURLY)

    shown = here(folder, "run").out
    tokens = write_workspace(
        tmp_path / "tokens", cases=3, model=HOURLY.replace("per_hour = 3.6", "input = 1, output = 2")
    )

    assert "by the hour: more on a busy machine" in shown
    assert "by the hour" in here(folder, "show", "last").out
    assert "by the hour" not in here(tokens, "run").out
