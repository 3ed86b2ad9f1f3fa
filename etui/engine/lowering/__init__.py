"""From a module to a program: export, quantize, lower, and record where its nodes come from."""
