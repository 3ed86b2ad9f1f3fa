"""etui exports PyTorch models to ExecuTorch, measures them honestly against eager, and remembers every run."""

__version__ = "0.1.0"
