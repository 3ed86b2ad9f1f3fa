"""Faults at random moments against the installed ``etui``: anything lost, hanging or left over is a deviation."""
