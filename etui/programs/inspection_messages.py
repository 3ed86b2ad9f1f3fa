"""What a child that looks at a program's file answers, in this order: read, which backends are here, loaded."""

from __future__ import annotations

import msgspec

from etui.insight import ProgramInfo


class Read(msgspec.Struct, tag="read", frozen=True, kw_only=True):
    """What the file alone told."""

    info: ProgramInfo


class Here(msgspec.Struct, tag="here", frozen=True, kw_only=True):
    """The backends this box has of those the program needs."""

    backends: list[str]


class Loaded(msgspec.Struct, tag="loaded", frozen=True, kw_only=True):
    """Whether the runtime loads it; else why not, and what to do."""

    loads: bool
    problem: str = ""
    hint: str = ""


class Refused(msgspec.Struct, tag="refused", frozen=True, kw_only=True):
    """Why the file cannot be read as a program; the message goes on after the file's name."""

    message: str
    hint: str = ""


Answer = Read | Here | Loaded | Refused
