"""Executor of VECTOR instructions."""
