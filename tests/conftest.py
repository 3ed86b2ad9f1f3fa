"""Fixtures for all tests: a simulated machine for one test, one that the tests of a module share so that its runner
stays warm, and the golden files with the wording of what etui prints.

Options of this test suite: ``--update-golden`` writes the golden files again (``tests/golden.py`` says when), and
``--snapshot-update`` the snapshots of the screen (``tests/tui/conftest.py`` says when).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.golden import UPDATE, Golden
from tests.machines import Machine, machine_in

LONGEST = (
    "faults/test_short.py",
    "models_zoo/test_models.py",
    "tui/test_every_key.py",
    "runner/test_ends.py",
    "web/test_server.py",
    "test_two_users.py",
    "fuzz/test_short.py",
    "web/test_browser.py",
)
"""The files that take longest, which start first, so that no process works on one of them alone at the end."""


GARBAGE_THRESHOLDS = (700, 10, 50)
"""Of ``gc.set_threshold``: full collections are a fifth as frequent as by default."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage, and then except what they imported from it: the modules of torch
    and its libraries are hundreds of thousands of objects that every full collection would go through, which takes half
    a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by file: the longest first."""
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the golden files."""
    parser.addoption(UPDATE, action="store_true", help="write the golden files in tests/golden from what etui prints")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """``golden(name, text)`` checks a renderer's whole wording against its golden file."""
    return Golden(update=request.config.getoption(UPDATE))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a program cache that machines of the whole test run share, also those of other processes."""
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "programs"


@pytest.fixture
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Yield a new simulated machine: no runner, no database, empty cache (see ``_cache``)."""
    with machine_in(tmp_path, _cache(request)) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def warm_machine(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Yield a simulated machine that the tests of one module share: its runner stays, and prepared programs stay
    cached."""
    with machine_in(tmp_path_factory.mktemp("box"), _cache(request)) as shared:
        yield shared


def _cache(request: pytest.FixtureRequest) -> Path | None:
    """Return the program cache of the whole test run if the test or module is marked for it."""
    if request.node.get_closest_marker("shared_programs") is None:
        return None
    programs: Path = request.getfixturevalue("programs")
    return programs
