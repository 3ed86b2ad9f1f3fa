"""The modules of a model's summary as CSV, one row per module."""

from __future__ import annotations

from etui import text
from etui.formats.csv_tables import csv_bytes
from etui.model_summary import ModelSummary

HEAD = (
    "module", "type", "depth", "calls", "input", "output", "parameters", "trainable", "own_parameters",
    "parameter_bytes", "macs", "own_macs", "macs_share", "activation_bytes", "own_activation_bytes", "traffic_bytes",
    "uncounted", "same_as",
)  # fmt: skip


def summary_csv(summary: ModelSummary) -> bytes:
    """Return all modules as CSV."""
    return csv_bytes(
        HEAD,
        (
            (
                module.path, module.type, module.depth, module.calls,
                text.shapes(info.shape for info in module.inputs), text.shapes(info.shape for info in module.outputs),
                module.parameters, module.trainable, module.own_parameters, module.parameter_bytes,
                module.macs, module.own_macs, module.macs / summary.macs if summary.macs else None,
                module.activation_bytes, module.own_activation_bytes, module.traffic_bytes,
                " ".join(module.uncounted), module.same_as,
            )
            for module in summary.modules
        ),
    )  # fmt: skip
