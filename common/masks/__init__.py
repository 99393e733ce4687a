"""Holes: random ones, the shapes of objects, and mask files."""
