"""Examples: both papers combined, an exported network without this package; they are not installed."""
