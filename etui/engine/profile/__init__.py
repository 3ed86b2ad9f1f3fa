"""Operator profiles: ETDump for programs, torch.profiler for eager."""
