"""Composition root: what the commands of the command line do, built from config, drivers, detector and workflow."""
