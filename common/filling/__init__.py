"""A user's photograph and its hole: read, filled, written back."""
