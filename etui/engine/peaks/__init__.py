"""Peaks of the machine: matrix products and memory traffic at full speed."""
