"""The studies of HiFill's tables and figures (H)."""
