"""Load and run programs with ExecuTorch, and explain why one cannot be loaded."""
