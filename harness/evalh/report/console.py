"""The last gate before a terminal: whatever a report forgot to make inert is made so here."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from evalh.report.text import safe


class InertConsole(Console):
    """A console whose texts move no cursor and turn no line round; its own colours pass."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render to segments, with what is active in a text shown as an escape."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(safe(segment.text), segment.style)
