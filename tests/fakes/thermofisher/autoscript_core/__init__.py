"""Stand-in for AutoScript's core package."""
