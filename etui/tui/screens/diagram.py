"""The screen of a model's diagram: its modules in an order of execution with the data flow between them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from etui.actions import BY_ID, Scope, bindings
from etui.errors import EtuiError
from etui.model_graph import ModelGraph
from etui.results import RunDocument
from etui.services.model_graph import model_graph
from etui.services.summarize import Request
from etui.spec import shape_text
from etui.text import plain
from etui.tui.defect_guard import Guarded
from etui.tui.details.table_tab import TableFilter
from etui.tui.diagram.table import BoxesTable
from etui.tui.error_text import to_text
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import Footer, Hint, KeyBar
from etui.tui.workers import in_daemon_thread, start, stop_flag
from etui.wording.diagram import Colour, Diagram, default_colour, diagram, known_colours


class DiagramScreen(Guarded, Screen[None]):
    """Reads the graph of a model, or of a run's model with what the run measured, and shows it. The actions of scope
    ``diagram`` are its methods, those of the table of boxes are forwarded."""

    app: ScreenHost
    scope: ClassVar[Scope] = "diagram"
    DEFAULT_CSS = """
    DiagramScreen { layout: vertical; }
    DiagramScreen #diagram-title {
        height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    DiagramScreen #diagram-state { height: auto; padding: 0 1; margin-top: 1; }
    DiagramScreen BoxesTable { height: 1fr; margin-top: 1; display: none; }
    DiagramScreen.-made BoxesTable { display: block; }
    DiagramScreen.-made #diagram-state { display: none; }
    DiagramScreen KeyBar { height: 1; dock: bottom; }
    """

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("diagram")]

    def __init__(self, request: Request, document: RunDocument | None = None) -> None:
        super().__init__()
        self._request = request
        self._document = document
        self._graph: ModelGraph | None = None
        self._level: int | None = None
        self._colour: Colour | None = None
        self.diagram: Diagram | None = None

    def compose(self) -> ComposeResult:
        """Title, state, boxes, keys."""
        yield Static("Diagram", id="diagram-title", markup=False)
        yield Static("", id="diagram-state", markup=False)
        yield BoxesTable()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Read the graph."""
        self._write_title(plain(self._request.model))
        self._say("exporting the model to read its graph ..")
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._boxes.rewrite())
        start(self, self._read, group="diagram")

    @property
    def _boxes(self) -> BoxesTable:
        return self.query_one(BoxesTable)

    @property
    def state(self) -> str:
        """What is done, or why there is no diagram."""
        return str(self.query_one("#diagram-state", Static).content)

    async def _read(self) -> None:
        method = self._document.method if self._document is not None else None
        with stop_flag() as stopped:
            try:
                read = partial(model_graph, self._request, method=method, stopped=stopped.is_set)
                self._graph = await in_daemon_thread(read)
            except EtuiError as error:
                self._say(f"Cannot read the graph of the model: {plain(to_text(error))}.")
                return
        self._colour = default_colour(self._graph, self._document)
        self.add_class("-made")
        self._show()
        self._boxes.focus()
        self.refresh_bindings()

    def _show(self) -> None:
        if self._graph is None:
            return
        made = diagram(self._graph, level=self._level, colour=self._colour, document=self._document)
        self.diagram, self._level = made, made.level
        self._write_title(made.title, f"level {made.level} of {made.levels}", f"colour: {made.colour}")
        self._boxes.show(made)

    def _write_title(self, name: str, *about: str) -> None:
        line = Text(f"Diagram  {plain(name)}")
        dot = glyphs(self.app).dot
        for part in filter(None, (*about, shape_text(self._request.shape))):
            line.append(f" {dot} {plain(part)}", "not bold")
        self.query_one("#diagram-title", Static).update(line)

    def _say(self, text: str) -> None:
        self.query_one("#diagram-state", Static).update(Text(text))

    def footer(self) -> Footer:
        """Return the keys of the diagram and of its table."""
        if isinstance(self.focused, TableFilter):
            return Footer([Hint("enter", "apply"), "filter.leave"])
        if self.diagram is None:
            return Footer(["diagram.close"])
        of_rows = ["rows.filter", "rows.sort"]
        return Footer(
            ["diagram.deeper", "diagram.shallower", "diagram.colour", "diagram.write", *of_rows, "diagram.close"]
        )

    def forwarded_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes whose actions ``action_forward`` runs."""
        return ("rows",) if self.diagram is not None else ()

    async def action_forward(self, action_id: str) -> None:
        """Run an action of the table of boxes."""
        await self._boxes.view.run_action(BY_ID[action_id].name)

    def action_deeper(self) -> None:
        """Show one level of modules more."""
        self._go_to_level(1)

    def action_shallower(self) -> None:
        """Show one level of modules less."""
        self._go_to_level(-1)

    def _go_to_level(self, step: int) -> None:
        if self.diagram is None:
            return
        level = self.diagram.level + step
        if 1 <= level <= self.diagram.levels:
            self._level = level
            self._show()
        else:
            self.app.say("This is the deepest level." if step > 0 else "This is level 1.")

    def action_colour(self) -> None:
        """Colour by the next of what is known."""
        if self._graph is None or self.diagram is None:
            return
        known = known_colours(self._document, program=self._graph.of == "program")
        if len(known) == 1:
            self.app.say("Only the types are known. Open the diagram of a run for its times, errors and delegation.")
            return
        self._colour = known[(known.index(self.diagram.colour) + 1) % len(known)]
        self._show()

    def action_write(self) -> None:
        """Write the diagram as a picture or page."""
        from etui.tui.screens.diagram_file import DiagramFileDialog

        if self.diagram is None:
            return

        def written(path: Path | None) -> None:
            if path is not None:
                self.app.say(f"Diagram written to {path}", keep=True)

        self.app.push_screen(DiagramFileDialog(self.diagram), written)

    def action_close(self) -> None:
        """Go back; from a filter, to all boxes."""
        if not self._boxes.end_filter():
            self.dismiss()
