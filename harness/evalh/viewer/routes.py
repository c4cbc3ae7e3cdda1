"""From a path behind the token to an answer. Called by several threads; nothing here opens a file by a name."""

import re
import time
from collections.abc import Mapping
from threading import Lock
from urllib.parse import unquote

from msgspec import Struct, field

from evalh.api.viewing import LiveLog
from evalh.core.errors import EvalhError, NotFound
from evalh.core.log import UnderWay
from evalh.core.run import RunStatus
from evalh.report.html.markup import el
from evalh.viewer.desk import Desk, switched_off
from evalh.viewer.frame import REPORT_POLICY, PageAnswer, framed, message
from evalh.viewer.list_page import ID, list_page, nothing_yet
from evalh.viewer.live_page import live_document, live_page
from evalh.viewer.production_page import SHOWN, nothing_traced, production_page, query_of
from evalh.viewer.workflow_page import workflow_page

_THING = re.compile(rf"/(run|comparison|gate)/({ID.pattern})")
_SIDES = re.compile(rf"/compare/({ID.pattern}),({ID.pattern})")
_MATRIX = re.compile(rf"/matrix/((?:{ID.pattern})(?:,{ID.pattern}){{0,31}})")
_SUITE = re.compile(rf"/suite/({ID.pattern})")
_ASKED = re.compile(rf"/live/((?:{ID.pattern})(?:,{ID.pattern}){{0,31}})?")
_WORKFLOW = re.compile(r"/production/((?:[A-Za-z0-9._~-]|%[0-9A-F]{2}){1,600})")
_CASE = re.compile(_WORKFLOW.pattern + "/case")
_LABEL = re.compile(rf"/label(?:/({ID.pattern}))?")
_FRESH_S = 0.4  # several open tabs cost as much as one
_LIST_S = 2.0  # an unchanged log shows the same list, but which processes live is not in it


class Routes(Struct):
    """Answers from one workspace."""

    viewing: LiveLog
    desk: Desk | None = None  # None: the pages write nothing
    _lock: Lock = field(default_factory=Lock)
    _seen: tuple[float, list[UnderWay]] | None = None
    _list: tuple[object, PageAnswer] | None = None

    def __call__(self, path: str, asked: str = "") -> PageAnswer:
        """Answer a path such as `/run/r20261124-014246-3f9c2e` and what is asked of it behind its `?`.

        What goes wrong is a page that says so.
        """
        thing, workflow = _THING.fullmatch(path), _WORKFLOW.fullmatch(path)
        depth = path.count("/") - 1
        try:
            page = self.viewing.report(*thing.groups()) if thing is not None else self._beside(path)
            if page is not None:
                return PageAnswer(page, policy=REPORT_POLICY)
            live = _ASKED.fullmatch(path)
            if live is not None:
                return self._live(live[1])
            if workflow is not None:
                return workflow_page(self.viewing.workflow(unquote(workflow[1], errors="replace")))
            return self._page(path, asked)
        except EvalhError as exc:
            status = 404 if isinstance(exc, NotFound) else 503
            if _ASKED.fullmatch(path):
                return PageAnswer(
                    str(exc.what).encode("utf-8", "replace"), status=status, type="text/plain; charset=utf-8"
                )
            return _told(exc, depth, status=status)

    def written(self, path: str, form: Mapping[str, str]) -> PageAnswer:
        """Answer a form that a page of ours sent. What cannot be written is a page that says so."""
        label, case = _LABEL.fullmatch(path), _CASE.fullmatch(path)
        try:
            if self.desk is None or not ((label and label[1]) or case):
                return message("Nothing can be sent there", [], depth=None, status=404)
            if case:
                return self.desk.add_case(unquote(case[1], errors="replace"), form)
            return self.desk.label(str(label and label[1]), form)
        except EvalhError as exc:
            return _told(exc, 2 if case else 1, status=422)

    def _desk(self, path: str, asked: str) -> PageAnswer | None:
        label, case = _LABEL.fullmatch(path), _CASE.fullmatch(path)
        if label is None and case is None:
            return None
        if self.desk is None:
            return switched_off(2 if case else int("/" in path[1:]))
        if case:
            return self.desk.case_page(unquote(case[1], errors="replace"), asked)
        return self.desk.label_page(label[1] if label else None, asked)

    def _beside(self, path: str) -> bytes | None:
        """Return a page of several runs side by side; None if the path names none."""
        sides, runs, suite = _SIDES.fullmatch(path), _MATRIX.fullmatch(path), _SUITE.fullmatch(path)
        if sides is not None:
            return self.viewing.compared(*sides.groups())
        if runs is not None:
            return self.viewing.matrix(None, runs[1].split(","))
        return None if suite is None else self.viewing.matrix(suite[1], ())

    def _page(self, path: str, asked: str) -> PageAnswer:
        if path == "/production":
            return self._production(asked)
        if (page := self._desk(path, asked)) is not None:
            return page
        if path not in {"/", "/live"}:
            hint = "The address of a run, a comparison or a gate is in the list."
            return message("There is no such page", [hint], depth=None, status=404)
        try:
            if path == "/live":
                return live_page(self._under_way(), time.time())
            return self._overview()
        except NotFound:
            return live_page((), time.time()) if path == "/live" else nothing_yet(self.viewing.name)

    def _production(self, asked: str) -> PageAnswer:
        query, page = query_of(asked)
        try:
            found = self.viewing.workflows(query, SHOWN, (page - 1) * SHOWN)
        except NotFound:
            return nothing_traced(self.viewing.name)
        return production_page(self.viewing.name, found, query, page)

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


def _told(exc: EvalhError, depth: int, status: int) -> PageAnswer:
    place = el("code", exc.where) if exc.where else None
    hints = [el("pre", exc.hint)] if exc.hint else []
    return message(exc.what, [line for line in (place, *hints) if line], depth=depth, status=status)


def broken(exc: Exception) -> PageAnswer:
    """Say that there is a bug, without details."""
    words = f"This is a bug in evalh: {type(exc).__name__}. The terminal of evalh view has more."
    return framed("bug", el("header", el("h1", words), class_="verdict"), status=500)
