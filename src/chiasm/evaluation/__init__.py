"""Measurements: a model and pictures in, numbers out."""
