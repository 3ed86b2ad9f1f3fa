"""Explain the errors of torch, ExecuTorch and the user's code: the line of source, the cause, and what to do."""
