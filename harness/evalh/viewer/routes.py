"""From a path behind the token to an answer. Called by several threads; nothing here opens a file by a name."""

import re
import time
from threading import Lock

from msgspec import Struct, field

from evalh.api.viewing import LiveLog
from evalh.core.errors import EvalhError, NotFound
from evalh.core.log import UnderWay
from evalh.core.run import RunStatus
from evalh.report.html.markup import el
from evalh.viewer.frame import REPORT_POLICY, PageAnswer, framed, home, message
from evalh.viewer.list_page import ID, list_page, nothing_yet
from evalh.viewer.live_page import live_document, live_page

_THING = re.compile(rf"/(run|comparison|gate)/({ID.pattern})")
_ASKED = re.compile(rf"/live/((?:{ID.pattern})(?:,{ID.pattern}){{0,31}})?")
_FRESH_S = 0.4  # several open tabs cost as much as one
_LIST_S = 2.0  # an unchanged log shows the same list, but which processes live is not in it


class Routes(Struct):
    """Answers from one workspace."""

    viewing: LiveLog
    _lock: Lock = field(default_factory=Lock)
    _seen: tuple[float, list[UnderWay]] | None = None
    _list: tuple[object, PageAnswer] | None = None

    def __call__(self, path: str) -> PageAnswer:
        """Answer a path such as `/run/r20261124-014246-3f9c2e`; what goes wrong is a page that says so."""
        thing = _THING.fullmatch(path)
        depth = 1 if thing else 0
        try:
            if thing is not None:
                return PageAnswer(self.viewing.report(*thing.groups()), policy=REPORT_POLICY)
            asked = _ASKED.fullmatch(path)
            if asked is not None:
                return self._live(asked[1])
            return self._page(path)
        except EvalhError as exc:
            status = 404 if isinstance(exc, NotFound) else 503
            if _ASKED.fullmatch(path):
                return PageAnswer(
                    str(exc.what).encode("utf-8", "replace"), status=status, type="text/plain; charset=utf-8"
                )
            place = el("code", exc.where) if exc.where else None
            hints = [el("pre", exc.hint)] if exc.hint else []
            return message(exc.what, [line for line in (place, *hints) if line], home=home(depth), status=status)

    def _page(self, path: str) -> PageAnswer:
        if path not in {"/", "/live"}:
            hint = "The address of a run, a comparison or a gate is in the list."
            return message("There is no such page", [hint], home=None, status=404)
        try:
            if path == "/live":
                return live_page(self._under_way(), time.time())
            return self._overview()
        except NotFound:
            return live_page((), time.time()) if path == "/live" else nothing_yet(self.viewing.name)

    def _overview(self) -> PageAnswer:
        with self._lock:
            state = (self.viewing.stamp(), time.monotonic() // _LIST_S)
            if self._list is None or self._list[0] != state:
                found = self.viewing.overview()
                page = list_page(self.viewing.name, found) if found.runs_in_all else nothing_yet(self.viewing.name)
                self._list = (state, page)
            return self._list[1]

    def _live(self, asked: str | None) -> PageAnswer:
        """Answer the live page's script; `asked` are the runs that it shows."""
        try:
            running = self._under_way()
        except NotFound:
            running = []  # no log: nothing is under way
        alive = {one.run.record.id for one in running}
        ended = []
        for run_id in (asked or "").split(",") if asked else ():
            if run_id not in alive:
                try:
                    row = self.viewing.run(run_id)
                except NotFound:
                    continue  # it was deleted: the page lets go of it
                if row.status is not RunStatus.RUNNING:
                    ended.append(row)
        return live_document(running, ended, time.time())

    def _under_way(self) -> list[UnderWay]:
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > _FRESH_S:
                found = self.viewing.under_way()
                self._seen = (time.monotonic(), found)
            return self._seen[1]


def broken(exc: Exception) -> PageAnswer:
    """Say that there is a bug, without details."""
    words = f"This is a bug in evalh: {type(exc).__name__}. The terminal of evalh view has more."
    return framed("bug", el("header", el("h1", words), class_="verdict"), status=500)
