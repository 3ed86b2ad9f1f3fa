"""Programs under ExecuTorch: loading and running them, and why one cannot be loaded."""
