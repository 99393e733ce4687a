"""Time and memory; every benchmark also measures the machine's convolution rate."""
