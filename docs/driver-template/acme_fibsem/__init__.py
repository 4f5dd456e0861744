"""Driver of ACME dual-beams for fibsem-runtime."""

from acme_fibsem.driver import AcmePlugin

__all__ = ["AcmePlugin", "plugin"]

plugin = AcmePlugin()
