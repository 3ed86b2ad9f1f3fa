"""Every module of etui can be imported, so that the fast tests (``-m "not slow"``) reach all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import etui

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len([name for name in sys.argv[1:] if name in sys.modules]))
"""


def test_every_module_can_be_imported() -> None:
    root = Path(etui.__file__).parent
    parts = (path.relative_to(root.parent).with_suffix("").parts for path in sorted(root.rglob("*.py")))
    names = [".".join(one).removesuffix(".__init__") for one in parts]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(names) > 200 and int(done.stdout.splitlines()[-1]) == len(names)
