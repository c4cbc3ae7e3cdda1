"""What a request can cost at most, before it is sent."""

from decimal import Decimal

from evalh.core.attempt import Usage
from evalh.core.ports import Pricer
from evalh.core.request import Media, Request, Text

PER_MESSAGE = 16
"""The chat template's own tokens around a message."""


def worst_case_usd(request: Request, pricer: Pricer | None, more_tokens: int = 0) -> Decimal | None:
    """Bound what a request can cost: a token per input byte, `max_tokens` of output. None: no bound or no price.

    `more_tokens` are read besides: what may yet be added to the request.
    """
    tokens = worst_case_tokens(request, more_tokens)
    if pricer is None or tokens is None:
        return None
    return pricer.cost(tokens, None)


def worst_case_tokens(request: Request, more_tokens: int = 0) -> Usage | None:
    """Bound a request's tokens: no tokenizer makes more than one of a byte. None: no bound on the output."""
    bound = request.settings.max_tokens
    return None if bound is None else Usage(input_tokens=input_bytes(request) + more_tokens, output_tokens=bound)


def input_bytes(request: Request) -> int:
    """Count the bytes of everything that the model reads."""
    settings = request.settings
    size = _bytes(settings.output_schema or "") + sum(
        _bytes(tool.name) + _bytes(tool.description) + _bytes(tool.parameters) for tool in settings.tools
    )
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text():
                    size += _bytes(part.text)
                case Media():
                    size += len(part.data)
                case other:
                    size += _bytes(other)
        size += PER_MESSAGE
    return size


def _bytes(value: object) -> int:
    return len(str(value).encode("utf-8", "surrogatepass"))
