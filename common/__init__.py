"""What both papers share: images, masks, datasets, metrics, runs. Knows neither paper's networks."""
