"""Varied models of users, as factories, and what etui does with each."""
