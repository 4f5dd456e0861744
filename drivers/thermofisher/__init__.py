"""Thermo Fisher dual-beams through AutoScript 4: Aquilos, Helios, Hydra and, with its compustage, Arctis."""

from drivers.thermofisher.driver import ThermoFisherPlugin
from drivers.thermofisher.settings import ThermoFisherSettings

__all__ = ["ThermoFisherPlugin", "ThermoFisherSettings", "plugin"]

plugin = ThermoFisherPlugin()
