"""A page on localhost to paint a hole and fill it, and the same over HTTP: `python -m inpainting.serve`."""
