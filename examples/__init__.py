"""Examples that combine both papers; they are not installed."""
