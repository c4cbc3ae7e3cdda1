"""What is cut is found by the provider's word or by the text."""

import pytest

from evalh.core.verdict import Outcome

CUT = [
    '{"label": "billing',
    '{"label": "a \\" b',
    '[{"a": 1}, {"a": ',
    '["a", "b"',
    '```json\n{"a": 1}',
    "So the sum is\n\\[\n3 + 4",
    "First, it is late. Second, the customer did not get the",
    "He pays $3. Then he pays $4, and together they are 3 +",
    "It is late. The invoice, the reminder,",
    "Es ist spät. Die Rechnung wurde gestern von uns verschickt und heute",
]
FINISHED = [
    "",
    "   ",
    "billing",
    "It is about the bill",
    "It is about the bill.",
    'He said: "It is late."',
    "It is late. Really (it is).",
    "**It is late.**",
    '{"label": "billing"}',
    '{"label": "}{["}\n',
    "```json\n{}\n```",
    "First we add them.\n#### 18",
    "He pays. Answer: 18",
    "These are the labels. Choose one:\n- the one about the bill that was sent",
    "That is 3. \\(3 + 4 = 7\\)",
    "[x] is done and [y] is not",
    "{oops] is not JSON",
    "這是帳單。它在昨天已經寄出。",
    "It is late. See https://example.com/x",
    "It works! \U0001f600",
]


@pytest.mark.parametrize("text", CUT)
def test_it_is_cut(judge, text: str) -> None:
    assert judge("truncation", text).outcome is Outcome.FAIL


@pytest.mark.parametrize("text", FINISHED)
def test_it_is_finished(judge, text: str) -> None:
    verdict = judge("truncation", text)
    assert verdict.outcome is Outcome.PASS, verdict.reason


def test_the_provider_is_believed_and_the_last_sentence_may_be_left_alone(judge) -> None:
    assert judge("truncation", "It is late.", finish="length").outcome is Outcome.FAIL
    assert judge({"truncation": {"sentence": False}}, CUT[6]).outcome is Outcome.PASS
    assert judge({"truncation": {"sentence": False}}, CUT[0]).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "text",
    [
        "Escape it as \\[ in a pattern. Then it works",
        "Use the pattern `\\[a-z` for it. It finds letters",
        "Write \\[a-z]+ for a word. It finds letters",
        "The answer is\n```Red, White```",
        "Done. Run it:\n```python -m app```",
        "~~~\nx = 1\n~~~\nThat is all.",
        "````md\n```python\nx\n```\n````\nThat is all.",
        "1. First:\n   ```\n   x\n   ```\nThat is all.",
        "> ```\n> x\n> ```",
        "```md\n```python\nx\n```\n```\nThat is all.",
        'The word "refund is spelled so. It has one quote',
        '{name} said "no. It is over.',
        '["Hamlet" is a play. It is long.',
        '["a"] and {"b',
        "It is late. I am sorry :(",
        "It is late. I am sorry :-(",
        "That is over. I love it",
        "It was sent. You are welcome to",
        "Ready.\nNameError: name 'Image' is not defined\n",
        "Laws. Some of them:\n1964: the act against discrimination passed\n1968: the act for fair housing passed",
        '{"a": 1} and then some',
        "{'a': 'it",
        '{"a": 01',
    ],
)
def test_what_can_be_complete_is_not_cut(judge, text: str) -> None:
    verdict = judge("truncation", text)
    assert verdict.outcome is Outcome.PASS, verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a": tru',
        '{"a": -',
        '{"a": "x\\u00',
        '{"a": "x\ny',
        "[1, 2",
        '{"a": [1, {"b": null',
        "~~~python\nx = 1",
        "````\n```\nx",
        "We add.\n\\[ x = \\frac{1}{2} + ",
        "We add. \\(x^2 + 1",
    ],
)
def test_what_cannot_be_complete_is_cut(judge, text: str) -> None:
    assert judge("truncation", text).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "end",
    [
        "It is A",
        "See https://example.com/a",
        "Use C++",
        "The token is c2hvcnQ=",
        "It lies on C:\\",
        "Press A or B. Press A",
    ],
)
def test_a_letter_an_address_or_a_name_at_the_end_is_no_sign_of_a_cut(judge, end: str) -> None:
    assert judge("truncation", f"That is clear. {end}").outcome == "pass"


CUT_IN_A_FORMULA = [
    "The sum is $$3 + 4",
    "So:\n$$\n\\frac{1}{2",
    "$$a$$ and then $$b",
    "Let \\(x",
    "The result is \\(",
    "It is \\(f(x",
    "So \\(\\frac{1",
    "\\begin{align}\na &= b",
    "the sum\n$$\n",
]
CUT_IN_OTHER_SCRIPTS = [
    "請求書は昨日発送されました。お客様への連絡は明日の午",
    "請求書は昨日発送されました。お客様への連絡は明日の午前中に",
    "ご連絡ありがとうございます。ご注文の商品は現在、倉庫から",
    "这是账单。它在昨天已经寄给了客户而且还没有收到任何",
    "बिल कल भेजा गया था। ग्राहक को इसके बारे में आज सुबह एक",
    "रसीद मिल गई है। अब हम आपके खाते में पैसे वापस करने की",
    "یہ بل ہے۔ اسے کل گاہک کو بھیجا گیا تھا اور ہم نے",
    "請求書は昨日発送されました。次に、",
]
FINISHED_ALL_THE_SAME = [
    "ご注文を確認しました。配送状況：本日午前中に発送の手続き",
    "ご注文を確認しました。請求書は昨日お客様に送付済み",
    "ご注文を確認しました。ご不明な点がございましたらご連絡ください",
    "账单已寄出。金额：一百二十元整，请在本月底以前付清",
    "It costs $$ a lot",
    "Cheap: $, mid: $$, costly: $$$",
    "Use \\( to open a group and \\[ for a class",
    "Use \\[ in a pattern",
    "$$3+4$$",
    "$$x$$ is it.",
    "In bash $$ is the process id",
    "Write `\\(` here",
    "請求書です。明日送ります",
    "これは請求です。以上です",
    "這是帳單。它在昨天已經寄出。",
    "請求",
    "はい。わかりました",
    "बिल कल भेजा गया था। ग्राहक को आज सुबह एक फोन किया गया है",
    "हाँ। ठीक है",
    "Price range: $$",
    "It costs $$ 20",
    "Pay $$100",
    "from $ to $$ a day",
    "It is late. It costs $$",
    "\\begin{a}x\\end{a}",
    "这是账单。\n- 昨天已经寄给了客户而且还没有收到",
    "He said \\(x\\) and \\(y\\)",
    "それは「請求」です。分類：請求",
    "答案：请求",
    "分類は次の通りです。\n請求",
    "costs $5 and $7",
    "日本。東京",
]


@pytest.mark.parametrize("text", [*CUT_IN_A_FORMULA, *CUT_IN_OTHER_SCRIPTS])
def test_an_open_formula_and_an_open_sentence_of_any_script_are_cut(judge, text: str) -> None:
    assert judge("truncation", text).outcome is Outcome.FAIL


@pytest.mark.parametrize("text", FINISHED_ALL_THE_SAME)
def test_what_only_looks_like_one_is_finished(judge, text: str) -> None:
    verdict = judge("truncation", text)
    assert verdict.outcome is Outcome.PASS, verdict.reason


@pytest.mark.parametrize("sign", ["$$", "\\(", "\\[", "\\begin{a}", "。", "a。"])
def test_signs_are_counted_in_linear_time(judge, sign: str) -> None:
    judge("truncation", sign * (1_000_000 // len(sign)))
