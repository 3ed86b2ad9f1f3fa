"""All targets, by name."""

from __future__ import annotations

from tests.fuzz.documents import Import, Pictures, Screen, Stored
from tests.fuzz.harness import Target
from tests.fuzz.readers import Configs, Filters, Lines, Programs
from tests.fuzz.shell import Arguments, Databases
from tests.fuzz.weights import Folders, Weights

_ALL: tuple[Target, ...] = (
    Import(), Stored(), Pictures(), Screen(), Filters(), Configs(), Programs(), Lines(), Arguments(),
    Databases(), Weights(),
    Folders(),
)  # fmt: skip
TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
