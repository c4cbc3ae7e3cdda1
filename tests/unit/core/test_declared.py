"""What a file's models say of a wrong file: in our words, at its line, all of it at once."""

from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ErrorType

from evalh.core.declared import FileModel, Refused, Text, Texts, Words, _worded, keys_of, read
from evalh.core.errors import MOST_MISTAKES, WorkspaceError
from evalh.core.located import Located
from evalh.workspace.toml import parse_toml
from evalh.workspace.yaml import parse_yaml


class Rule(FileModel):
    at_least: Annotated[float, Words(hint="rule: {at_least: 0.9}")] = Field(ge=0, le=1)


class Table(FileModel):
    name: Annotated[Text, Words(hint="name: <name>")]
    trials: int = Field(1, ge=1, le=1000)
    share: float = Field(0.5, gt=0, lt=1)
    price: Decimal | None = Field(None, ge=0)
    by: Literal["feedback", "retry"] = "feedback"
    stop: bool = True
    names: Texts = Field((), min_length=1)
    prices: dict[str, Decimal] = Field(default_factory=dict)
    rule: Rule | Literal[False] | None = None
    rules: tuple[Rule, ...] = ()
    never: Texts | dict[str, Annotated[float, Field(ge=0, le=1)]] = ()
    age: Annotated[str, Field(pattern=r"^\d+d$"), Words("days", "age: 30d")] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    schema_: int | None = Field(None, alias="schema")

    @model_validator(mode="after")
    def _trials_suffice(self) -> "Table":
        if self.trials == 13:
            raise Refused("13 trials bring bad luck", "trials: 14", ("trials",))
        return self


def wrong(text: str, parse: Any = parse_yaml) -> list[str]:
    located: Located = parse(text, "f")
    with pytest.raises(WorkspaceError) as caught:
        read(Table, located.value, located.where)
    return [
        f"{one.where}: {one.what}" + (f" ({one.hint})" if one.hint else "")
        for one in (caught.value, *caught.value.others)
    ]


def test_a_table_is_read_with_exact_numbers_and_lists_as_tuples() -> None:
    located = parse_toml(
        'name = "n"\nprice = 2\nprices = {a = 0.1, b = 2}\nshare = 0.25\nnames = ["a"]\nrules = [{at_least = 1}]\n'
        "rule = false\nparams = {top = [0.1, {k = 1}]}\nschema = 3\n",
        "f",
    )

    table = read(Table, located.value, located.where)

    assert (table.price, table.prices) == (Decimal(2), {"a": Decimal("0.1"), "b": Decimal(2)})
    assert (table.share, table.names, table.rules[0].at_least, table.rule) == (0.25, ("a",), 1.0, False)
    assert table.params == {"top": [0.1, {"k": 1}]}
    assert table.schema_ == 3
    assert keys_of(Table)[-1] == "schema"
    assert read(Table, {"name": "n", "price": 0.1}, located.where).price == Decimal("0.1")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("trials: 0", "f:2: 'trials' must be a whole number from 1 to 1,000"),
        ("trials: 2.0", "f:2: 'trials' must be a whole number from 1 to 1,000"),
        ("trials: true", "f:2: 'trials' must be a whole number from 1 to 1,000, not true or false"),
        ("trials: null", "f:2: 'trials' must be a whole number from 1 to 1,000, not null"),
        ("share: 1", "f:2: 'share' must be a number above 0 and below 1"),
        ("share: much", "f:2: 'share' must be a number above 0 and below 1, not text"),
        ("share: true", "f:2: 'share' must be a number above 0 and below 1, not true or false"),
        ("price: -1", "f:2: 'price' must be a number of at least 0"),
        ('price: "1"', "f:2: 'price' must be a number of at least 0, not text"),
        ("by: other", "f:2: 'by' must be feedback or retry, not 'other' (have: feedback, retry)"),
        ("by: retri", "f:2: 'by' must be feedback or retry, not 'retri' (did you mean 'retry'?)"),
        ("by: [retry]", "f:2: 'by' must be feedback or retry, not a list"),
        ("stop: often", "f:2: 'stop' must be true or false, not text"),
        ("names: []", "f:2: 'names' must be a list of texts that is not empty"),
        ("names: a", "f:2: 'names' must be a list of texts that is not empty, not text"),
        ("names:\n  - a\n  - ' '", "f:4: 'names' must hold text that is not empty"),
        ("names:\n  - a\n  - 2", "f:4: 'names' must hold text, not a number"),
        ("prices: {a: free}", "f:2: 'a' must be a number, not text"),
        ("rule: {}", "f:2: 'at_least' is missing (rule: {at_least: 0.9})"),
        ("rule:\n  at_least: 90", "f:3: 'at_least' must be a number from 0 to 1 (rule: {at_least: 0.9})"),
        ("rule: true", "f:2: 'rule' must be a mapping or false, not true or false (its keys: at_least)"),
        ("rule: 0.9", "f:2: 'rule' must be a mapping or false, not a number (its keys: at_least)"),
        ("rule: {at_last: 0.9}", "f:2: unknown key 'at_last' (did you mean 'at_least'?)"),
        ("rules: {}", "f:2: 'rules' must be a list of mappings, not a mapping"),
        (
            "rules:\n  - at_least: 1\n  - at_least: 2",
            "f:4: 'at_least' must be a number from 0 to 1 (rule: {at_least: 0.9})",
        ),
        ("never: a", "f:2: 'never' must be a list of texts or a mapping, not text"),
        ("never: {a: 2}", "f:2: 'a' must be a number from 0 to 1"),
        ("never: [1]", "f:2: 'never' must hold text, not a number"),
        ("age: 30", "f:2: 'age' must be days, not a number (age: 30d)"),
        ("age: a month", "f:2: 'age' must be days (age: 30d)"),
        ("trials: 13", "f:2: 13 trials bring bad luck (trials: 14)"),
        ("schemas: 3", "f:2: unknown key 'schemas' (did you mean 'schema'?)"),
    ],
)
def test_what_is_wrong_is_said_in_our_words_at_its_line(line: str, says: str) -> None:
    assert wrong(f"name: n\n{line}\n") == [says]


def test_all_mistakes_of_a_file_are_told_in_its_order_each_once() -> None:
    assert wrong("trials: 0\nnme: n\nrule: {at_last: 1}\nstop: 1\n") == [
        "f:1: 'trials' must be a whole number from 1 to 1,000",
        "f:2: unknown key 'nme' (did you mean 'name'?)",
        "f:3: unknown key 'at_last' (did you mean 'at_least'?)",
        "f:4: 'stop' must be true or false, not a number",
    ]
    assert wrong("stop: 1\n")[0] == "f:1: 'name' is missing (name: <name>)"
    keys = "its keys: name, trials, share, price, by, stop, names, prices and 6 more"
    assert wrong("- a\n") == [f"f:1: the file must be a mapping, not a list ({keys})"]


def test_the_error_lists_the_others_below_in_the_same_form() -> None:
    located = parse_yaml("trials: 0\nnme: n\n", "f")
    with pytest.raises(WorkspaceError) as caught:
        read(Table, located.value, located.where, of="grader 'x'")

    assert str(caught.value) == (
        "f:1: grader 'x': 'trials' must be a whole number from 1 to 1,000\n"
        "f:2: grader 'x': unknown key 'nme'\n  did you mean 'name'?"
    )


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_no_word_of_pydantic_is_shown(kind: str) -> None:
    value = {"name": 1}
    error = {"type": kind, "loc": ("name",), "msg": "Input should be wonderful", "ctx": {"error": ValueError("ours")}}

    mistake = _worded(Table, value, error)

    assert "Input" not in mistake.what
    assert "wonderful" not in f"{mistake.what} {mistake.hint}"
    assert mistake.what.startswith(("'name'", "unknown key 'name'"))


def test_a_custom_error_of_somebody_else_shows_what_is_wanted() -> None:
    class Odd(FileModel):
        number: int = 1

        @model_validator(mode="after")
        def _refuse(self) -> "Odd":
            raise PydanticCustomError("odd", "Input should be odd")

    with pytest.raises(WorkspaceError, match="the file must be a mapping"):
        read(Odd, {}, lambda *_: "f:1")


def test_of_a_flood_of_mistakes_the_first_are_listed() -> None:
    listed = wrong("name: n\n" + "".join(f"key{number}: 1\n" for number in range(20_000)))

    assert len(listed) == MOST_MISTAKES + 1
    assert listed[0].startswith("f:2: unknown key 'key0'")
    assert listed[MOST_MISTAKES - 1].startswith(f"f:{MOST_MISTAKES + 1}: unknown key")
    assert listed[-1] == f"f:{MOST_MISTAKES + 2}: there are more mistakes (correct these first)"


def test_a_mistake_fewer_is_listed_whole() -> None:
    listed = wrong("name: n\n" + "".join(f"key{number}: 1\n" for number in range(MOST_MISTAKES)))

    assert len(listed) == MOST_MISTAKES
    assert all("unknown key" in one for one in listed)


def test_a_key_without_end_is_shortened() -> None:
    (told,) = wrong('name = "n"\n"' + "k" * 100_000 + '" = 1\n', parse_toml)

    assert len(told) < 1000
