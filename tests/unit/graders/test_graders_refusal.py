"""Which words decline, and which only sound like it."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome

DECLINING = [
    "I'm sorry, but I can't assist with that request.",
    "I\u2019m sorry, but I can\u2019t help with that.",
    "Sorry, I can't.",
    "I cannot provide medical advice.",
    "I am unable to access your account.",
    "I'm not able to help\nwith this.",
    "We won't be able to process this.",
    "As an AI language model, I don't have personal opinions.",
    "As a large language model trained by others I cannot browse the web.",
    "I must respectfully decline.",
    "I don't have access to your email at this time.",
    "It would be unethical to write that.",
    "That goes against my content policy.",
    '{"label": null, "reason": "I cannot answer that."}',
    "I don't feel comfortable writing that.",
]
ANSWERING = [
    "",
    "billing",
    "I can't find a mistake in it.",
    "I cannot stress enough how good it is.",
    "I'm sorry to hear about your loss. Here is what you can do.",
    "As an AI, I can guide you through it.",
    "The customer cannot provide a receipt.",
    "You can't help it.",
    "If Bob declines to share, Ann keeps 3.",
    "It is not possible to divide by zero.",
    "Janet does not have access to the pond, so she sells 9 eggs.",
]


@pytest.mark.parametrize("text", DECLINING)
def test_it_declines(judge, text: str) -> None:
    verdict = judge("refusal", text)

    assert (verdict.outcome, verdict.score) == (Outcome.FAIL, 0.0)


@pytest.mark.parametrize("text", ANSWERING)
def test_it_answers(judge, text: str) -> None:
    assert judge("refusal", text).outcome is Outcome.PASS


def test_only_the_beginning_is_read(judge) -> None:
    assert judge("refusal", "It is billing. " * 60 + "I can't help with that.").outcome is Outcome.PASS


@pytest.mark.parametrize("finish", ["refusal", "content_filter"])
def test_the_provider_is_believed(judge, finish: str) -> None:
    assert judge("refusal", "It is", finish=finish).outcome is Outcome.FAIL


def test_more_phrases_may_be_named_in_any_language(judge) -> None:
    entry = {"refusal": {"also": ["我无法", "no puedo ayudar"]}}

    assert judge(entry, "Lo siento, no puedo\nAYUDAR.").outcome is Outcome.FAIL
    assert judge(entry, "no puedo ayudarte").outcome is Outcome.PASS  # another word
    with pytest.raises(WorkspaceError, match="empty phrase"):
        judge({"refusal": {"also": [""]}}, "x")
