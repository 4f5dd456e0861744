"""Stand-in for a companion package of AutoScript; nothing of it is used."""
