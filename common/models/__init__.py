"""Shared by both papers' networks: layers made of layers, weights files, SavedModels, the membrane."""
