"""The reasoning before an answer, and answers that talk about it."""

import pytest

from evalh.core.attempt import Answer, Completion, FinishReason, Usage
from evalh.core.reasoning import KEPT, apart, reread, split
from evalh.core.verdict import Verdict, told, with_cause

BEFORE = {
    "plain": ("<think>a b</think>\n\nyes", "a b", "yes"),
    "empty, as Qwen3 writes it when it is told not to think": ("<think>\n\n</think>\n\nyes", "", "yes"),
    "no blank between": ('<think>hm</think>{"label": "x"}', "hm", '{"label": "x"}'),
    "blanks before": ("\n <think>hm</think> yes", "hm", "yes"),
    "capitals": ("<THINK>hm</Think>yes", "hm", "yes"),
    "thinking": ("<thinking>hm</thinking>\nyes", "hm", "yes"),
    "EXAONE": ("<thought>\nhm\n</thought>\n\nyes", "hm", "yes"),
    "Seed-OSS": ("<seed:think>hm</seed:think>yes", "hm", "yes"),
    "Magistral": ("[THINK]hm[/THINK]yes", "hm", "yes"),
    "Kimi-VL": ("◁think▷hm◁/think▷yes", "hm", "yes"),
    "OpenThinker": (
        "<|begin_of_thought|>\nhm\n<|end_of_thought|>\n\n<|begin_of_solution|>\nyes\n<|end_of_solution|>",
        "hm",
        "yes",
    ),
    "Cohere": (
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>yes<|END_RESPONSE|>",
        "hm",
        "yes",
    ),
    "twice": ("<think>a</think>\n<think>b</think>\nyes", "a\n\nb", "yes"),
    "nested": ("<think>a <think>b</think> c</think>yes", "a <think>b\n\nc", "yes"),
    "a tag that is spoken of": (
        "<think>I end with `</think>`, then\n</think>\nyes",
        "I end with `</think>`, then",
        "yes",
    ),
    "an answer with a tag": ("<think>hm</think>So:\nreasoning\n</think>\nyes", "hm", "So:\nreasoning\n</think>\nyes"),
    "spoken like": ("<think>so yes </think> yes", "so yes", "yes"),
    "the closing tag alone": ("hm, so it is.\n</think>\n\nyes", "hm, so it is.", "yes"),
    "alone, on the answer's line": ('hm</think>{"label": "x"}', "hm", '{"label": "x"}'),
    "alone, after a sentence": ("hm, so it is. </think>\n\nyes", "hm, so it is.", "yes"),
    "alone, first": ("</think>\n\nyes", "", "yes"),
    "alone, and again at the end": ("hm\n</think>\nyes\n</think>", "hm", "yes\n</think>"),
    "alone, Magistral": ("hm[/THINK]yes", "hm", "yes"),
    "cut off": ("<think>I should", "I should", ""),
    "closed, then nothing": ("<think>hm</think>\n", "hm", ""),
    "alone, then nothing": ("hm.\n</think>\n", "hm.", ""),
    "closed by another's tag": ("<think>a</thinking>b", "a", "b"),
    "closed by another's tag, the other way": ("<thinking>\na\n</think>\n\nb", "a", "b"),
    "closed by another family's tag": ("[THINK]a</think>b", "a", "b"),
    "its own tag before another's": ("<think>a</thinking> or not\n</think>b", "a</thinking> or not", "b"),
    "another's inside": ("<think>a <thinking>b</thinking> c</think>d", "a <thinking>b</thinking> c", "d"),
    "inside another's": ("<thinking><think>a</think> c</thinking>d", "<think>a</think> c", "d"),
    "nested, closed by another's tag": ("<think>a<think>b</thinking>\nyes", "a<think>b", "yes"),
    "with an attribute": ("<think time=\"3 s\" lang='en'>a</think>b", "a", "b"),
    "with blanks in the tags": ("<think >a</think >b", "a", "b"),
    "with a line end in the tag": ("<think\n  time=3>a</think\n>b", "a", "b"),
    "capitals, mixed": ("<THINKING>a</Think>b", "a", "b"),
    "closed in itself": ("<think/>b", "", "b"),
    "closed in itself, then open": ("<think />\n<think>a</think>b", "a", "b"),
    "the closing tag alone, another's": ("a\n</Thinking >\nb", "a", "b"),
    "cut off, with an attribute": ("<think x=1>I should", "I should", ""),
    "harmony": (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes<|return|>",
        "hm",
        "yes",
    ),
    "harmony with a format": (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{}",
        "hm",
        "{}",
    ),
    "harmony, cut off": ("<|channel|>analysis<|message|>hm", "hm", ""),
    "harmony, final alone": ("<|channel|>final<|message|>yes", "", "yes"),
}


@pytest.mark.parametrize(("text", "reasoning", "answer"), BEFORE.values(), ids=BEFORE)
def test_reasoning_before_an_answer_is_parted_from_it(text, reasoning, answer):
    assert split(text) == (reasoning, answer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "The <think> tag is not HTML.",
        "Models write <think>…</think> before they answer.",
        "Use `</think>` to close it.",
        "The closing tag is </think>.",
        'He wrote "</think>" at the end.',
        "(</think>)",
        "Put </think> in front of the answer.",
        "```html\n<p>\n</think>\n</p>\n```\nThat is it.",
        '{"html": "a</think>b"}',
        '{"html": "<think>a</think>b"}',
        '["a</think>b"]',
        '"a</think>b"',
        "<p>text</p><think>a</think>\nmore",
        "1. Open with <think>\n2. Close with </think>",
        "a < b and [c]",
        "<thinker>no</thinker>",
        "<think-tank>no</think-tank>",
        "<thinking_about>no</thinking_about>",
        "Write <think time=3>, then the answer.",
    ],
)
def test_an_answer_about_such_tags_is_left_alone(text):
    assert split(text) == ("", text)


@pytest.mark.parametrize(
    "text",
    [
        "</think>" * 60_000,
        "a</think>" * 60_000,
        "<think></think>" * 40_000,
        "<think>" * 60_000,
        "<think>a" * 60_000 + "</think>" * 60_000,
        " " * 500_000 + "</think>" + " " * 500_000,
        "`</think>" * 60_000,
        "<think>`</think>" * 30_000,
        "<|channel|>analysis<|message|>" * 20_000,
        "<|channel|>final" * 40_000,
        "[" * 500_000 + "</think>",
        "<think>a</thinking>" * 30_000,
        "<thinking>a</think><think>b</thinking>" * 15_000,
        "<think>`</thinking>" * 30_000,
        "<think" + " a" * 250_000,
        "<think " * 60_000,
        "</think " * 60_000,
        "<think/>" * 60_000,
        "```" * 100_000 + "a</think>b",
    ],
)
def test_it_is_linear_in_a_hostile_text(text):
    split(text)  # half a megabyte each; quadratic work takes minutes


def test_what_came_stays_in_raw_where_nothing_else_keeps_it():
    parted = apart(Completion(text="<think>hm</think>yes"))

    assert (parted.text, parted.reasoning, parted.raw) == ("yes", "hm", "<think>hm</think>yes")
    assert apart(Completion(text="<think>hm</think>yes", raw="{…}")).raw == "{…}"
    assert apart(Completion(text="yes", reasoning="hm")).reasoning == "hm"


def test_an_old_answer_of_the_log_is_parted_once_and_only_where_it_is_stripped():
    old = Answer("a", Completion(text="<think>hm</think>yes"), None)

    assert reread(old, {"provider": "x"}).completion.text == "yes"
    assert reread(old, KEPT) is old
    looked_at = Answer("a", Completion(text="<think>hm</think>yes", reasoning=""), None)
    assert reread(looked_at, {"provider": "x"}) is looked_at


@pytest.mark.parametrize(
    ("completion", "words"),
    [
        (
            Completion(text="", finish=FinishReason.LENGTH, usage=Usage(output_tokens=512, reasoning_tokens=512)),
            "the answer is empty: all 512 tokens went into reasoning (finish: length); raise max_tokens",
        ),
        (
            Completion(text="", finish=FinishReason.LENGTH, reasoning="hm"),
            "the answer is empty: there is nothing but reasoning (finish: length); raise max_tokens",
        ),
        (
            Completion(text="", finish=FinishReason.LENGTH),
            "the answer is empty: its tokens ran out (finish: length); raise max_tokens",
        ),
        (
            Completion(text="", reasoning="hm", usage=Usage(output_tokens=600, reasoning_tokens=590)),
            "the answer is empty: 590 of its 600 tokens went into reasoning (finish: stop)",
        ),
        (
            Completion(text="\n", finish=FinishReason.CONTENT_FILTER),
            "the answer was blocked by the provider's content filter (finish: content_filter)",
        ),
        (Completion(text="", finish=FinishReason.REFUSAL), "the model refused without a word (finish: refusal)"),
    ],
)
def test_an_empty_answer_says_what_it_was_emptied_by(completion, words):
    assert told(completion) == words
    assert with_cause(Verdict.check(False, 'the output is ""'), completion).reason == words


def test_an_unfinished_answer_says_so_beside_what_is_wrong_with_it():
    completion = Completion(text='{"a": ', finish=FinishReason.LENGTH)

    verdict = with_cause(Verdict.check(False, "not JSON"), completion)

    assert verdict.reason == "cut off: its tokens ran out (finish: length); not JSON"
    assert with_cause(Verdict.check(True, "fits"), completion).reason == "fits"
    assert with_cause(Verdict.check(False, "wrong"), Completion(text="")).reason == "wrong"


@pytest.mark.parametrize("unseen", ["\ufeff", "\u200b", "\u2060\n"])
def test_what_cannot_be_seen_before_the_first_tag_hides_no_reasoning(unseen: str) -> None:
    assert split(f"{unseen}<think>a</think>b") == ("a", "b")
