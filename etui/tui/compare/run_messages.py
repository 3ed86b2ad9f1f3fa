"""What the tables of a comparison report about the run under their cursor."""

from __future__ import annotations

from textual.message import Message


class RunMoved(Message):
    """The cursor moved to another run."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run


class RunOpened(Message):
    """The user requested the details of a run."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run
