"""Check a step's inputs against its prompt's input schema, before anything is sent."""

from collections.abc import Mapping
from typing import Any, NoReturn

from evalh.core.strict_json import JsonValue
from evalh.graders.quoting import one_line

_NO_DEFAULTS: Mapping[str, JsonValue] = {}


class Contract:
    """A compiled input schema. `defaults` are the inputs that the prompt fills in itself."""

    def __init__(self, schema: Mapping[str, JsonValue], defaults: Mapping[str, JsonValue] = _NO_DEFAULTS) -> None:
        """Compile the schema, which was checked when its prompt was loaded."""
        import jsonschema_rs

        # RegexOptions: an engine without backtracking, so that no `pattern` can run forever.
        self._validator = jsonschema_rs.validator_for(
            dict(schema), retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
        )
        self._defaults = defaults

    def violation(self, inputs: Mapping[str, JsonValue]) -> tuple[str, str] | None:
        """Return the first input that does not fit, and why; None if all fit."""
        whole = {**self._defaults, **inputs}
        try:
            if self._validator.is_valid(whole):
                return None
            error = next(self._validator.iter_errors(whole))
        except UnicodeEncodeError:
            broken = (name for name, value in inputs.items() if self._holds_a_surrogate(value))
            return next(broken, ""), "holds a lone surrogate, which is not text"
        if error.instance_path:
            name, *inner = error.instance_path
            place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inner)
            return str(name), one_line(f"{place} {error.message}".lstrip())
        return _key_of(error), one_line(error.message)

    def refusal(self, value: JsonValue) -> str | None:
        """Say why a value as a whole does not fit; None: it does."""
        try:
            if self._validator.is_valid(value):
                return None
            error = next(self._validator.iter_errors(value))
        except UnicodeEncodeError:
            return "holds a lone surrogate, which is not text"
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
        return one_line(f"{place.lstrip('.')} {error.message}".lstrip())

    def _holds_a_surrogate(self, value: JsonValue) -> bool:
        try:
            self._validator.is_valid(value)
        except UnicodeEncodeError:
            return True
        return False


def _key_of(error: Any) -> str:
    """Return the input that an error about the whole object names; "" if it names none."""
    missing = getattr(error.kind, "property", None)
    unexpected = getattr(error.kind, "unexpected", None)
    return str(missing if missing is not None else unexpected[0] if unexpected else "")


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not read")
