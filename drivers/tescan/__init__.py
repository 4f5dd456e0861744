"""TESCAN instruments through the vendor's Automation SDK (``tescanautomation``, ports 8300 and 8301)."""

from drivers.tescan.driver import TescanPlugin
from drivers.tescan.settings import TescanSettings

__all__ = ["TescanPlugin", "TescanSettings", "plugin"]

plugin = TescanPlugin()
