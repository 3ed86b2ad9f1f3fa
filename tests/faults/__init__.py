"""Faults at random moments against the installed ``etui``: what is lost, hangs or is left behind is a deviation."""
