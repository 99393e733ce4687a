"""What the networks of both papers share: layers made of layers, weights files, SavedModels, the membrane."""
