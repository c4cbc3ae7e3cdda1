"""An application as evalh.toml describes it, asked over a real socket or as a real process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from evalh.core.attempt import Call, CallError, CallKey, Completion
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Role, Settings
from evalh.providers.registry import Provider, ProviderContext, build

ADDRESS = ("headers", "cost_from")  # what evalh.toml's reader takes out of the options


class NoFiles:
    """A tree, for providers that look at no file of it."""

    def __init__(self, revision: str | None) -> None:
        self.revision = revision


def application(
    kind: str,
    options: Mapping[str, Any],
    *,
    env: Mapping[str, str] | None = None,
    root: Path = Path(),
    revision: str | None = None,
    load: Callable[[str], Callable[..., object]] | None = None,
) -> Provider:
    """Build one as the workspace does."""
    context = ProviderContext(
        prompt="p",
        version="v1",
        tree=NoFiles(revision),  # type: ignore[arg-type]
        root=root,
        env=env or {},
        cache_dir=root,
        load_function=load or (lambda path: path),  # type: ignore[arg-type,return-value]
    )
    given = dict(options)
    stated = {key: given.pop(key) for key in ("timeout_s", *ADDRESS) if key in given}
    return build(
        ModelSpec(name="app", provider=kind, model="app", options=given, where="evalh.toml:3", **stated), context
    )


@asynccontextmanager
async def opened(kind: str, **given: Any) -> AsyncIterator[Provider]:
    """Build, open and close one; `env`, `root` and `load` are not options."""
    more = {key: given.pop(key) for key in ("env", "root", "load") if key in given}
    it = application(kind, given, **more)
    await it.open()
    try:
        yield it
    finally:
        await it.close()


async def ask(
    it: Provider,
    text: str = "hello",
    *,
    inputs: Mapping[str, Any] | None = None,
    before: tuple[Message, ...] = (),
    on_text: Callable[[str], None] | None = None,
    **key: Any,
) -> Completion:
    settings = Settings(model="app", sent_to=it.identity, params={"temperature": 0}, reads_inputs=True)
    request = Request((*before, Message.of(Role.USER, text)), settings, inputs=inputs)
    key = {"case_id": "t-1", **key}
    return await it.send(request, Call(id="r:1", run_id="r", key=CallKey(**key), request=request, on_text=on_text))


async def failing(it: Provider, *given: Any, **more: Any) -> CallError:
    try:
        answer = await ask(it, *given, **more)
    except CallError as error:
        return error
    raise AssertionError(f"an answer instead of an error: {answer}")
