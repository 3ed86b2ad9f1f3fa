"""Benchmarks of etui itself: speed and memory as ratios, both sides measured in one run. They are not part of the
tests.

``python -m tests.benchmarks`` runs all of them on a quiet machine; ``python -m tests.benchmarks cli prepare`` runs two.
"""
