"""TESCAN instruments over the SharkSEM protocol: TCP, ports 8300 and 8301, no package of the vendor's needed."""

from drivers.sharksem.driver import SharkSemPlugin
from drivers.sharksem.settings import SharkSemSettings

__all__ = ["SharkSemPlugin", "SharkSemSettings", "plugin"]

plugin = SharkSemPlugin()
