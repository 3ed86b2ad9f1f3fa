"""Export, quantize and lower a module to a program, and record the origins of its nodes."""
