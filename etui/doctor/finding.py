"""One thing that was looked at on a box, and how it stands with it."""

from __future__ import annotations

from typing import Literal

import msgspec

FindingStatus = Literal["ok", "warn", "bad", "unknown"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. ``ok``; ``warn`` spoils or limits; ``bad`` makes measuring impossible; ``unknown`` could not
    be read, which is never fine. ``seen`` says what was found, ``advice`` what to do."""

    name: str
    status: FindingStatus
    seen: str
    advice: str = ""
