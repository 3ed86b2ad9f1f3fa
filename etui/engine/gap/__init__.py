"""The numeric gap: per-layer numerical error of a program against FP32 eager."""
