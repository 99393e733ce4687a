"""Metrics, the evaluation protocol, tables, and the methods without learning to compare with."""
