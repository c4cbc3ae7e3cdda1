"""Jinja2: what a prompt may use, and that a hostile one reaches nothing and ends."""

from typing import Any

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.prompt import PromptVersion
from evalh.workspace.prompt.dialect_jinja2 import _compiled
from evalh.workspace.prompt.templates import check_inputs, compile_version
from evalh.workspace.prompt.versions import Position, parse_version


def version(body: str) -> PromptVersion:
    def no_partial(name: str) -> tuple[str, str]:
        raise WorkspaceError(name)

    return parse_version(f"---\nevalh.template: jinja2\n---\n{body}", Position("p", "v1", "p.prompt"), no_partial)


def text(body: str, /, **inputs: Any) -> str:
    (message,) = compile_version(version(body)).render(inputs)
    return message.text


ORDER = {"id": 7, "items": [{"name": "é", "n": 2}, {"name": "b", "n": 1}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{% if x %}yes{% else %}no{% endif %}", "yes"),
        (
            "{% for i in o['items'] %}{{ loop.index }}. {{ i.name }}{% if not loop.last %}, {% endif %}{% endfor %}",
            None,
        ),
        ("{% for k, v in o.items() %}{{ k }};{% endfor %}", "id;items;"),
        ("{{ o['items'] | map(attribute='name') | join(', ') }}", "é, b"),
        ("{{ o['items'] | selectattr('n', 'equalto', 1) | list }}", '[{"name":"b","n":1}]'),
        ("{{ o['items'] | sort(attribute='n') | first }}", '{"name":"b","n":1}'),
        ("{{ o['items'] | length }} {{ [3, 1] | sum }} {{ [3, 1] | max }}", "2 4 3"),
        ("{{ o }}", '{"id":7,"items":[{"name":"é","n":2},{"name":"b","n":1}]}'),
        ("{{ {'a': 1} | tojson(indent=2) }}", '{\n  "a": 1\n}'),
        ("{{ 'é' | tojson }}", '"é"'),
        ("{{ x ~ 1 ~ true ~ [1] }}", "t1true[1]"),
        ("{{ x | upper }} {{ 'a b' | title }} {{ ' a ' | trim }}|{{ x.strip() }}", "T A B a|t"),
        ("{{ 'a-b' | replace('-', '+') }} {{ 'abc' | truncate(2, true, '', 0) }}", "a+b ab"),
        ("{{ 'a\nb' | indent(2) }}|{{ 'a\nb' | indent(2, first=true) }}", "a\n  b|  a\n  b"),
        ("{% set y = x * 3 %}{{ y }} {{ 2 ** 3 }} {{ 7 % 4 }} {{ 'a' + 'b' }}", "ttt 8 3 ab"),
        ("{% macro f(n) %}{% if n %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "321"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{{ missing | default('none') }} {{ 'a' if missing is defined else 'b' }}", "none b"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("a {# note #} b", "a  b"),
        ("{{ '<b>&' }}", "<b>&"),
        ("a\n\n{%- if x %}\n b\n{%- endif %}", "a\n b"),
    ],
)
def test_what_prompts_use_works(body: str, expected: str | None) -> None:
    assert text(body, x="t", o=ORDER) == (expected or "1. é, 2. b")


NAMES = ("items", "keys", "values", "get", "pop", "update", "copy", "clear", "setdefault", "fromkeys", "popitem")
TEXT_NAMES = ("title", "count", "index", "format", "strip", "real", "append", "sort", "upper", "join")


@pytest.mark.parametrize("name", [*NAMES, *TEXT_NAMES])
@pytest.mark.parametrize(
    "body",
    [
        "{{ o.NAME }}",
        "{{ o['NAME'] }}",
        "{{ outer.o.NAME }}",
        "{{ outer['o'].NAME }}",
        "{{ list[0].NAME }}",
        "{{ list | map(attribute='NAME') | first }}",
        "{{ list | selectattr('NAME') | map(attribute='NAME') | first }}",
        "{% if o.NAME %}{{ o.NAME }}{% endif %}",
        "{% if o.NAME is defined %}{{ o.NAME }}{% endif %}",
        "{% set x = o.NAME %}{{ x }}",
        "{% for o in list %}{{ o.NAME }}{% endfor %}",
    ],
)
def test_a_key_goes_before_a_method_of_the_same_name(body: str, name: str) -> None:
    order = {name: "the key"}

    assert text(body.replace("NAME", name), o=order, outer={"o": order}, list=[order]) == "the key"


@pytest.mark.parametrize("name", [*NAMES, *TEXT_NAMES])
@pytest.mark.parametrize("value", [{"id": 1}, {}, [1], (1,), "text", 1, 1.5, True, None], ids=str)
def test_what_is_not_there_is_no_method_either(value: Any, name: str) -> None:
    asked = f"{{% if o.{name} is defined %}}yes{{% else %}}no{{% endif %}}"

    assert text(asked, o=value) == "no"
    assert text(asked.replace(f".{name}", f"['{name}']"), o=value) == "no"
    assert text(f"{{{{ [o] | selectattr('{name}', 'defined') | list | length }}}}", o=value) == "0"
    with pytest.raises(WorkspaceError, match=r"has no|is undefined"):
        text(f"{{{{ o.{name} }}}}", o=value)


def test_a_method_is_reached_where_it_is_called() -> None:
    order = {"items": [1], "get": 2, "keys": 3}

    assert text("{% for k, v in o.items() %}{{ k }}={{ v }};{% endfor %}", o=order) == "items=[1];get=2;keys=3;"
    assert text("{{ o.get('items')[0] }} {{ o.get('x', 'no') }} {{ o.keys() | list | length }}", o=order) == "1 no 3"
    assert text("{{ o.items | length }}{% for i in o.items %}{{ i }}{% endfor %}", o=order) == "11"


@pytest.mark.parametrize(
    "body",
    [
        "{{ messages }}",
        "{% for m in messages %}{{ m.content }}{% endfor %}",
        "{% if messages %}x{% endif %}",
        "{{ messages[0].content }}",
        "{{ messages | length }}",
        "{{ messages | default('none') }}",
    ],
)
def test_the_history_is_not_sent_a_second_time_as_a_variable(body: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        version(f"hello\n{body}")

    assert caught.value.what == "`messages` is the case's history"
    assert caught.value.where == "p.prompt:5"


def test_a_name_of_the_templates_own_may_be_messages() -> None:
    assert text("{% set messages = [x] %}{{ messages[0] }} {{ o.messages }}", x="a", o={"messages": "b"}) == "a b"


# -- nothing of Python is in reach


@pytest.mark.parametrize(
    "body",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''['__cla' ~ 'ss__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ [''] | map('attr', '__class__') | list }}",
        "{{ [''] | selectattr('__class__') | list }}",
        "{{ x.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ '{0.__class__}'.format_map({}) }}",
        "{{ '%s' % x }}",
        "{{ '%s' | format(x) }}",
        "{{ range.__globals__ }}",
        "{{ range.mro() }}",
        "{{ dict.mro() }}",
        "{{ dict.fromkeys }}",
        "{{ namespace.__init__ }}",
        "{{ cycler.__init__ }}",
        "{{ lipsum.__globals__ }}",
        "{{ lipsum() }}",
        "{{ joiner() }}",
        "{{ self }}",
        "{{ self.__dict__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ self['_TemplateReference__context'] }}",
        "{% for a in [1] %}{{ loop._iterable }}{% endfor %}",
        "{% for a in [1] %}{{ loop['_iterable'] }}{% endfor %}",
        "{% macro f() %}{% endmacro %}{{ f._func }}",
        "{% macro f() %}{% endmacro %}{{ f['_func'] }}",
        "{{ f.__call__ }}",
        "{{ (1).real.__class__ }}",
        "{{ 1 .bit_length() }}",
        "{{ x.encode() }}",
        "{{ x.translate({}) }}",
        "{{ o.pop('id') }}",
        "{{ o.update({'id': 8}) }}",
        "{{ o['items'].append(1) }}",
        "{{ o.items }}{{ o.keys }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% from 'os' import x %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% do x %}",
        "{% debug %}",
        "{{ ['a'] | random }}",
        "{{ x | pprint }}",
        "{{ x | urlize }}",
        "{{ caller() }}",
        "{{ varargs }}",
        "{{ context }}",
        "{{ environment }}",
    ],
)
def test_a_hostile_template_is_an_error_of_ours(body: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        text(body, x="t", o=dict(ORDER))

    assert str(caught.value.where).startswith("p.prompt:")


def test_inputs_cannot_be_changed() -> None:
    inputs = {"o": {"a": [1]}}

    for body in ("{{ o.a.append(2) }}", "{{ o.update({}) }}", "{% set o.a = 3 %}"):
        with pytest.raises(WorkspaceError):
            text(body, **inputs)

    assert inputs == {"o": {"a": [1]}}


def test_the_purse_is_not_in_reach() -> None:
    with pytest.raises(WorkspaceError):
        text("{{ self['evalh purse'] }}")
    with pytest.raises(WorkspaceError):
        text("{{ o['evalh purse'] }}", o={})


# -- and it ends


def again(start: str, step: str, after: str = "") -> str:
    """Sixty rounds: what doubles in each of them does not fit into any machine."""
    return f"{{% set ns = namespace(s={start}) %}}{{% for i in range(60) %}}{step}{{% endfor %}}{after}"


@pytest.mark.parametrize(
    "body",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 10**9 * 'a' }}",
        "{{ [1] * 10**9 }}",
        "{{ 10 ** (10 ** 10) }}",
        again("10", "{% set ns.s = ns.s * ns.s %}"),
        "{{ range(10**10) | list }}",
        "{{ range(10**30) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
        again("'aa'", "{% set ns.s = ns.s ~ ns.s %}"),
        again("'aa'", "{% set ns.s = ns.s + ns.s %}"),
        again("'aa'", "{% set ns.s = [ns.s, ns.s] | join %}"),
        again("'aa'", "{% set ns.s = ns.s.replace('a', 'aa') %}"),
        again("'aa'", "{% set ns.s = ns.s | replace('a', 'aa') %}"),
        again("'aa'", "{% set ns.s = (ns.s ~ ns.s) | indent %}"),
        again("'aa'", "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"),
        again("[1]", "{% set ns.s = [ns.s, ns.s] %}", "{{ ns.s }}"),
        again("[1]", "{% set ns.s = [ns.s, ns.s] %}", "{{ ns.s | upper }}"),
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'a' | indent(10**9) }}",
        "{{ 'a' | center(10**9) }}",
        "{{ 'a'.ljust(10**9) }}",
        "{{ 'a'.zfill(10**9) }}",
        "{{ '\t'.expandtabs(10**9) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ [1] | batch(10**9, 0) | list }}",
        "{{ [1] | slice(10**9) | list }}",
        "{{ [[1]] | tojson(indent=10**9) }}",
        "{{ 1.5 | round(10**9) }}",
    ],
)
def test_a_template_that_would_not_end_is_stopped(body: str) -> None:
    with pytest.raises(WorkspaceError):
        text(body, x="x" * 1_000)


def test_a_purse_is_for_one_rendering() -> None:
    template = compile_version(version("{% for i in range(40000) %}{% endfor %}ok"))

    assert [template.render({})[0].text for _ in range(3)] == ["ok"] * 3


@pytest.mark.parametrize("body", ["{{ 1 / 0 }}", "{{ x | sort }}", "{{ 'a' + 1 }}", "{{ x.y.z }}", "{{ x() }}"])
def test_what_fails_while_rendering_is_an_error_of_ours(body: str) -> None:
    with pytest.raises(WorkspaceError, match="cannot be filled"):
        text(body, x=[1, "a"])


# -- at load


@pytest.mark.parametrize(
    ("body", "line", "hint"),
    [
        ("a\n{{ x | uper }}", 5, "did you mean 'upper'?"),
        ("a\n\n{% fi x %}", 6, None),
        ("a\n{{ x", 5, None),
        ("a\n{% if x %}\n\n{% endfor %}", 7, None),
        ("a\n{{ x.__class__ }}", 5, None),
        ("a\n{% include 'x' %}", 5, "put the text into a file: {{>name}}"),
    ],
)
def test_a_mistake_is_told_with_its_line(body: str, line: int, hint: str | None) -> None:
    with pytest.raises(WorkspaceError) as caught:
        version(body)

    assert caught.value.where == f"p.prompt:{line}"
    assert caught.value.hint == hint


def test_what_may_be_absent_is_not_required() -> None:
    loaded = version(
        "{{ a }}{% if b is defined %}{{ b }}{% endif %}{{ c | default('') }}{% for d in e %}{{ d }}{% endfor %}"
    )

    assert check_inputs(loaded, []) == ["a", "e"]


def test_sections_share_no_variables() -> None:
    body = '{{role "system"}}{% set x = 1 %}{{ x }}{{role "user"}}{{ x }}'

    assert [message.text for message in compile_version(version(body)).render({"x": 2})] == ["1", "2"]


def test_a_comment_is_not_in_the_digest() -> None:
    assert version("a {# one #}b").digest == version("a {# two\n #}b").digest == version("a b").digest


def test_a_number_of_thousands_of_digits_is_refused_with_words() -> None:
    with pytest.raises(WorkspaceError, match="Jinja2 refuses it: Exceeds the limit"):
        version("{{ " + "9" * 5000 + " }}")


def test_loops_beyond_what_python_nests_are_refused_with_words() -> None:
    with pytest.raises(WorkspaceError, match="nested too deeply"):
        version("{% for a in x %}" * 21 + "{% endfor %}" * 21)


@pytest.mark.parametrize("loops", ["{{x}}", "{%if x%}{%endif%}", "{{ x | upper }}"])
def test_a_template_with_more_code_than_the_compiler_reads_in_time_is_refused_with_its_line(loops: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        version("text\n" + loops * (20_000 // len(loops)) + "\n" + loops)
    assert str(caught.value).startswith("p.prompt:6: more than 20,000 characters of the prompt are inside tags")
    assert "in a loop over a list" in (caught.value.hint or "")


def test_text_comments_and_raw_blocks_may_be_as_long_as_they_like() -> None:
    long = "a { b } % # " * 5_000
    assert text(f"{long}{{# {long} #}}{{% raw %}}{long}{{{{ y }}}}{{% endraw %}}{{{{ x }}}}", x="!") == (
        f"{long}{long}{{{{ y }}}}!"
    )
    assert text("{{x}}" * 4_000, x="a") == "a" * 4_000


def test_one_text_is_compiled_once_however_often_it_is_asked_for() -> None:
    _compiled.cache_clear()
    compile_version(version("{{ x }} and {{ y }}"))
    assert (_compiled.cache_info().misses, _compiled.cache_info().hits) == (1, 2)
