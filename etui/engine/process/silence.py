"""Suppress log messages and warnings that the libraries emit at import and while lowering."""

from __future__ import annotations

import logging
import os
import warnings

from etui.catalog.delegates import RECORDS

_ENVIRONMENT = {
    "TORCHAO_FORCE_SKIP_LOADING_SO_FILES": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_LOGGERS = ("torchao", "torch.utils._pytree", "torch.export", "transformers", "huggingface_hub")


def quiet() -> None:
    """Set environment variables, logger levels and warning filters; call it before importing torch or its dependents.

    The root logger gets a handler that drops everything, because the XNNPACK partitioner calls
    ``logging.basicConfig`` and would otherwise print every library's warnings from then on.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in (*_LOGGERS, *(name for record in RECORDS.values() for name in record.loggers)):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    for category in (DeprecationWarning, FutureWarning, UserWarning, ImportWarning):
        warnings.filterwarnings("ignore", category=category)
