"""A training run: devices, steps, validation, checkpoints, and the loop around them."""
