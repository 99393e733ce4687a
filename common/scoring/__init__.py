"""Metrics, the evaluation protocol, tables, and baselines without learning."""
