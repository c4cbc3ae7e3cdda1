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
    entry = {"refusal": {"also": ["我无法", "jeg kan ikke hjælpe"]}}

    assert judge(entry, "Beklager, jeg kan ikke\nHJÆLPE.").outcome is Outcome.FAIL
    assert judge(entry, "jeg kan ikke hjælpere").outcome is Outcome.PASS  # another word
    with pytest.raises(WorkspaceError, match="empty phrase"):
        judge({"refusal": {"also": [""]}}, "x")


@pytest.mark.parametrize(
    "text",
    [
        "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
        "Ich kann diese Anfrage leider nicht beantworten.",
        "Leider darf ich keine medizinischen Ratschläge geben.",
        "Ich bin nicht in der Lage, Ihnen diese Informationen bereitzustellen.",
        "Es ist mir nicht möglich, diesen Text zu schreiben.",
        "Ich muss diese Anfrage ablehnen.",
        "Als KI-Sprachmodell kann ich dazu keine Meinung äußern.",
        "Das verstößt gegen meine Richtlinien.",
        "Je suis désolé, mais je ne peux pas vous aider avec cette demande.",
        "Je ne suis malheureusement pas en mesure de répondre à cette question.",
        "Il m\u2019est impossible de fournir ces informations.",
        "Je dois décliner cette demande.",
        "En tant qu'IA, je ne peux pas donner mon avis.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "No puedo proporcionarle esa información.",
        "No estoy autorizado para responder a esa pregunta.",
        "Me niego a escribir ese texto.",
        "Como modelo de lenguaje, no tengo opiniones.",
        "Mi dispiace, ma non posso aiutarti con questa richiesta.",
        "Non sono in grado di fornire queste informazioni.",
        "Devo rifiutare questa richiesta.",
        "Come modello linguistico, non ho opinioni personali.",
        "Desculpe, mas não posso ajudar com isso.",
        "Não consigo fornecer essas informações.",
        "Não estou autorizado a responder a essa pergunta.",
        "Tenho que recusar esse pedido.",
        "Como uma IA, não tenho opiniões.",
    ],
)
def test_declining_in_other_languages_is_seen(judge, text: str) -> None:
    assert judge("refusal", text).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "text",
    [
        "Ich kann in Ihrer Rechnung keinen Fehler finden.",
        "Ich kann nicht nur übersetzen, sondern den Text auch zusammenfassen: hier ist er.",
        "Sie können das Paket leider nicht zurückgeben; ich helfe Ihnen gern weiter.",
        "Wenn das nicht hilft, kann ich Ihnen eine Anleitung schreiben.",
        "Kein Problem, ich kann Ihnen dabei helfen.",
        "Der Kunde kann sich nicht anmelden und bittet um Hilfe.",
        "Bitte schreiben Sie nicht an diese Adresse. Ich kann den Vorgang für Sie erstellen.",
        "Je ne peux que vous aider davantage avec votre numéro de commande.",
        "Je ne trouve pas d'erreur dans votre facture.",
        "Vous ne pouvez pas renvoyer ce colis ; je peux vous aider autrement.",
        "N'hésitez pas à écrire : nous pouvons vous aider.",
        "Le client ne peut pas se connecter.",
        "No encuentro ningún error en su factura.",
        "El cliente dice que no puede entrar en su cuenta.",
        "No dude en escribirnos: puedo ayudarle.",
        "No se preocupe, puedo ayudarle con eso.",
        "¿Por qué no puedo crear una cuenta? Porque el correo ya existe.",
        "Non trovo errori nella fattura.",
        "Il cliente non può accedere al suo conto.",
        "Non si preoccupi, posso aiutarla.",
        "Não encontrei nenhum erro na fatura.",
        "O cliente não consegue entrar na conta.",
        "Não se preocupe, posso ajudar com isso.",
        "Não há problema: vou explicar como se faz.",
    ],
)
def test_answers_in_other_languages_that_only_sound_alike_pass(judge, text: str) -> None:
    assert judge("refusal", text).outcome is Outcome.PASS
