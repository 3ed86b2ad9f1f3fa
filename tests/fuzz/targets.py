"""All targets, by name."""

from __future__ import annotations

from tests.fuzz.documents import Import, Pictures, Screen, Stored
from tests.fuzz.harness import Target
from tests.fuzz.readers import Configs, Filters, Lines, Programs
from tests.fuzz.shell import Arguments, Databases
from tests.fuzz.weights import Folders, Weights

# The fast ones first: the time they do not use is available to the slower ones.
_ALL: tuple[Target, ...] = (
    Filters(), Configs(), Programs(), Lines(), Pictures(), Arguments(), Databases(), Weights(), Folders(), Stored(),
    Import(), Screen(),
)  # fmt: skip
TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
