"""Timings and memory; every script measures the machine's own convolution rate in the same run."""
