"""The work of one child process: load, export, quantize, lower, time, compare outputs."""
