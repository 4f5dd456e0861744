"""Version of the package."""

INFO_VERSIONSHORT = "4.9"
