"""Summaries of models: modules, parameters, work and memory."""
