"""A bare Textual app with the kinds of widgets that etui has, and no data: the minimum cost of such an app."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, DataTable, Footer, Header, Input, RichLog, Select, SelectionList, Static


class BareApp(App[None]):
    """A form next to a table, a picture below it, and a log."""

    CSS = """
    #left { width: 34; }
    Select, Input, SelectionList { height: auto; }
    #log { height: 8; }
    #picture { height: 2fr; }
    """
    BINDINGS = [("r", "run", "run"), ("q", "quit", "quit"), ("e", "export", "export"), ("i", "import", "import")]

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal():
            with Vertical(id="left"):
                yield Select([("resnet18", 1)])
                yield SelectionList[int](*[(str(number), number) for number in range(6)])
                yield SelectionList[int](*[(str(number), number) for number in range(3)])
                for _ in range(5):
                    yield Input(compact=True)
                yield Button("Run", compact=True)
                yield Static("queue")
            with Vertical():
                yield DataTable[str](id="table")
                yield Static("picture", id="picture")
        yield RichLog(id="log")
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("when", "model", "precision", "delegate", "p50", "verdict")
        table.border_title = "Runs 100,000"
        table.styles.border = ("round", "white")


if __name__ == "__main__":
    BareApp().run()
