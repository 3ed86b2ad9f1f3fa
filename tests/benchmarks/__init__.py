"""What measures etui itself: speed and memory as ratios, both sides in one run. Never part of the tests.

``python -m tests.benchmarks`` runs all of them on a quiet box; ``python -m tests.benchmarks cli prepare`` runs two.
"""
