"""Measurements: a model and images in, numbers out."""
