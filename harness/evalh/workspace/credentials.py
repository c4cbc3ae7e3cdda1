"""Keys in files: text that looks like a key is refused, and no message repeats it."""

import re
from collections.abc import Iterator, Mapping

from evalh.core.errors import WorkspaceError
from evalh.core.located import Located, Path

_NAMES = frozenset(
    (
        *("key", "apikey", "xapikey", "xgoogapikey", "token", "accesstoken", "authtoken", "bearertoken"),
        *("secret", "secretkey", "clientsecret", "password", "authorization", "proxyauthorization", "cookie"),
    )
)
_VALUE = re.compile(
    r"(sk|pk|rk|gsk|hf|xai|nvapi|pplx|r8|ghp|gho|ghu|ghs|ghr|github_pat)[-_][\w-]{16,}"
    r"|xox[a-z]-[\w-]{10,}|AIza[\w-]{20,}|(AKIA|ASIA)[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]+\.[\w-]*"
    r"|(?i:bearer|basic)\s+\S{8,}"
)
_IN_TEXT = re.compile(
    r"(?<![\w-])(?:(?:sk|pk|rk|gsk|hf|xai|nvapi|pplx|r8|ghp|gho|ghu|ghs|ghr|github_pat)[-_][\w-]{16,}"
    r"|xox[a-z]-[\w-]{10,}|AIza[\w-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]+\.[\w-]*"
    r"|(?i:bearer|basic)[ \t]+(?P<value>[\w.~+/=-]{20,}))"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADERS_ENV = 'headers_env = {Authorization = "APP_AUTH"}'
_OF_APPLICATIONS = (("headers_env",), ("body",))
_SLOT = re.compile(r"\{\{\s*[\w.-]+\s*\}\}")


def names_key(name: str) -> bool:
    """Whether a setting or header of this name holds a key."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _NAMES


def is_key(value: str) -> bool:
    """Whether a text has the form of a key."""
    return _VALUE.fullmatch(value.strip()) is not None


def keys_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield each part of a longer text that has the form of a key, with its place."""
    for found in _IN_TEXT.finditer(text):
        yield found.start(), found["value"] or found[0]


def _stands_for_one(path: Path, value: str) -> bool:
    """Whether a text names the variable of a header, or is a slot: the value comes from elsewhere."""
    return _SLOT.fullmatch(value) is not None or (
        path[2:3] == ("headers_env",) and _VARIABLE.fullmatch(value) is not None
    )


def key_found(name: str, where: str, instead: str = 'api_key_env = "OPENAI_API_KEY"') -> WorkspaceError:
    """Return the refusal of a key that stands in a file."""
    return WorkspaceError(
        f"{name!r} looks like a key; keys do not belong in files",
        where=where,
        hint=f"put it into an environment variable and name that: {instead}",
    )


def refuse_keys(config: Located) -> None:
    """Raise WorkspaceError for a text in evalh.toml that is named or looks like a key; answers are not looked at."""
    waiting: list[tuple[Path, object]] = [((), config.value)]
    while waiting:
        path, value = waiting.pop()
        match value:
            case Mapping() if path[:1] != ("models",) or path[2:] != ("table",):
                waiting += [((*path, key), item) for key, item in value.items()]
            case list():
                waiting += [((*path, number), item) for number, item in enumerate(value)]
            case str() if is_key(value) or (names_key(str(path[-1])) and not _stands_for_one(path, value)):
                instead = {} if path[2:3] not in _OF_APPLICATIONS else {"instead": _HEADERS_ENV}
                raise key_found(str(path[-1]), config.where(*path), **instead)
            case _:
                pass
