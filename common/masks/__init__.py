"""Masks: random holes, object silhouettes, and mask files."""
