"""OpenAI's embeddings, and every server that speaks them. Vectors are not kept."""

from collections.abc import Iterable

from evalh_trace.records import Json
from evalh_trace.wires.reading import Fields, at, count, message, rest_of, settings, text_at, usage


def request_fields(body: Json, path: str = "") -> Fields:  # noqa: ARG001 (every wire's)
    """Return `settings` and `messages` of a Call: each text is a message."""
    given = at(body, "input")
    texts = given if isinstance(given, list) else [given]
    return {
        "settings": settings(model=at(body, "model"), params=rest_of(body, ("model", "input")), tools=[], stream=False),
        "messages": [message("user", [text]) for text in texts if isinstance(text, str)],
    }


def answer_fields(body: Json) -> Fields:
    """Return the fields of an Attempt: nothing is written, so its output is 0 tokens where the input is counted."""
    taken = count(at(body, "usage", "prompt_tokens"))
    return {
        "model_answered": text_at(body, "model"),
        "finish": "stop" if isinstance(at(body, "data"), list) else None,
        **usage(taken, None if taken is None else 0, None, None),
    }


def speaks(event: Json) -> bool:  # noqa: ARG001 (every wire's)
    """Whether an event holds a piece of the answer: embeddings come whole."""
    return False


def fold(events: Iterable[Json]) -> Json:
    """Return the last event: embeddings come whole."""
    return next(reversed(list(events)), None)
