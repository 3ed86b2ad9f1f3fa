"""etui exports PyTorch models to ExecuTorch, measures them against eager PyTorch, and compares all runs."""

__version__ = "0.1.0"
