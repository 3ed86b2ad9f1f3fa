"""etui exports PyTorch models to ExecuTorch, measures them against eager PyTorch, and compares all runs."""

from etui.model import Args, Model

__all__ = ["Args", "Model", "__version__"]

__version__ = "0.1.0"
