"""Digital twin of a dual-beam FIB-SEM: sample, optics and machine, seeded and with a known truth."""

from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.settings import SimulatorSettings

__all__ = ["SimulatorPlugin", "SimulatorSettings", "plugin"]

plugin = SimulatorPlugin()
