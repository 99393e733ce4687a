"""What can be built from both papers; none of it is installed."""
