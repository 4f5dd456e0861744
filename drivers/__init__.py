"""Drivers: one folder an instrument family, reached through entry points only."""
