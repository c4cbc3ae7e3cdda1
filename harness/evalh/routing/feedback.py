"""How a model is told about an answer: its own that did not fit, or another model's that is in doubt."""

from evalh.core.attempt import Completion
from evalh.core.request import Message, Request, Role
from evalh.routing.checking import Findings

_REPAIR = """Your answer was not accepted: {reason}

Answer the request again, correctly. Give only the answer, in the form that was asked for."""

_VERIFY = """Check the answer above against the request. If it is right, repeat it word for word. If it is wrong or
incomplete, give the right answer instead. Give only the answer, in the form that was asked for."""

_REASON = 400
"""Characters of a reason that a model is told: a grader of one's own may say anything."""

REPAIR_TOKENS = len(_REPAIR) + 4 * _REASON
"""What being asked to repair adds to a request at most, beside the answer: a token for each byte."""

VERIFY_TOKENS = len(_VERIFY)
"""What being asked to verify adds."""


def asked_to_repair(request: Request, completion: Completion, findings: Findings) -> Request:
    """Return the request with the answer that did not fit, and what was wrong with it."""
    return _with(request, completion, _REPAIR.format(reason=findings.reason[:_REASON]))


def asked_to_verify(request: Request, completion: Completion) -> Request:
    """Return the request with an answer to confirm or correct."""
    return _with(request, completion, _VERIFY.replace("\n", " "))


def _with(request: Request, completion: Completion, words: str) -> Request:
    # An empty answer stands as a blank: providers refuse an empty message.
    said = Message.of(Role.ASSISTANT, completion.text or " ")
    return Request((*request.messages, said, Message.of(Role.USER, words)), request.settings)
