"""Shared by both papers: images, masks, data sets, metrics, training runs. Contains neither paper's networks."""
