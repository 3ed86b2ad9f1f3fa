"""The result of one check of the machine."""

from __future__ import annotations

from typing import Literal

import msgspec

FindingStatus = Literal["ok", "warn", "bad", "unknown"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. ``status`` is ``ok``; ``warn`` if it affects or limits measurements; ``bad`` if
    measuring is impossible; ``unknown`` if it could not be read. ``seen`` is what was observed, ``advice`` the next
    step."""

    name: str
    status: FindingStatus
    seen: str
    advice: str = ""
