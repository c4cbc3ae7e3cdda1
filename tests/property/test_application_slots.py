"""Whatever an input holds, the body that an application is sent has the shape that evalh.toml gives it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import Call, CallKey
from evalh.core.request import Message, Request, Role, Settings
from evalh.providers.applications.slots import compiled
from evalh.providers.request_parts import encode

TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(['"}', "{{prompt}}", "\\", "\ud800", "${x}"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BODY = {"a": "{{prompt}}", "b": 'say "{{ prompt }}" to {{inputs.who}}', "c": [{"d": "{{inputs.value}}"}], "e": 1.5}


@given(TEXT, TEXT, VALUE)
def test_no_value_changes_the_shape_of_a_body(prompt: str, who: str, value: Any) -> None:
    settings = Settings(model="app", sent_to={})
    request = Request((Message.of(Role.USER, prompt),), settings, inputs={"who": who, "value": value})
    call = Call(id="r:1", run_id="r", key=CallKey("t-1"), request=request)

    sent = json.loads(encode(compiled(BODY)(request, call)))

    assert sent == {"a": prompt, "b": f'say "{prompt}" to {who}', "c": [{"d": value}], "e": 1.5}
