"""The source map of a program: the origin in the model of each instruction and of each delegated node.

It is a small file next to the program, written when the program is lowered. Profiles use it to attribute instructions
and a backend's operators to modules.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from etui.insight import Origin

SOURCE_MAP = "sources.json"
ETRECORD = "program.etrecord"
"""The file that ExecuTorch's own tools read with an ETDump; written on request only, since it contains all graphs."""


class Subgraph(msgspec.Struct, frozen=True, kw_only=True):
    """One delegated subgraph: the instruction that calls it, its backend, and its nodes.

    ``origins`` are the distinct indices of its nodes' origins. ``nodes`` are the nodes of the backend's serialized
    graph in its order, as kind and index of the origin (None if unknown); empty if that graph is not read.
    """

    instruction: int
    backend: str
    origins: list[int]
    nodes: list[tuple[str, int | None]] = []


class SourceMap(msgspec.Struct, frozen=True, kw_only=True):
    """A program's source map; ``instructions`` maps each undelegated instruction to an index in ``origins``."""

    origins: list[Origin]
    instructions: dict[int, int]
    subgraphs: list[Subgraph]


def write_source_map(source_map: SourceMap, folder: Path) -> None:
    """Write the map into a program's folder, which must not be in use yet. Raises OSError."""
    (folder / SOURCE_MAP).write_bytes(msgspec.json.encode(source_map))


def read_source_map(folder: Path) -> SourceMap | None:
    """Return the map in a program's folder; None if it is missing or unreadable."""
    try:
        return msgspec.json.decode((folder / SOURCE_MAP).read_bytes(), type=SourceMap)
    except (OSError, msgspec.MsgspecError):
        return None
