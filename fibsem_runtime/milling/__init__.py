"""Placeholder to be written by its owner."""
