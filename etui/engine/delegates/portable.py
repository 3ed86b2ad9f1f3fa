"""No delegate: every node runs on ExecuTorch's portable kernels."""

from __future__ import annotations

from typing import Any

from etui.engine.delegates.base import DelegateSupport


class _Portable(DelegateSupport):
    delegates_nodes = False
    convolves_3d = False

    def make_partitioners(self, precision: str) -> list[Any]:
        return []


DELEGATE = _Portable("portable")
