"""``python -m etui.runner DATABASE``: start the runner of one database; exits at once if one is running."""

from __future__ import annotations

import sys
from pathlib import Path

from etui.runner.service import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
