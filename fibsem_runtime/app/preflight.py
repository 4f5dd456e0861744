"""What must be right before anything moves (safety.md section 3): refused here, it costs no sample."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fibsem_runtime.core import BeamType
from fibsem_runtime.core.errors import BeamError, ConfigError, StageLimitError, StorageError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal import Beam, Microscope, check_limits
from fibsem_runtime.milling import MillingStage
from fibsem_runtime.workflow import MethodSettings
from fibsem_runtime.workflow.settings import ListSelection, MillFiducialSettings, MillPolishSettings, MillRoughSettings

BYTES_PER_LAMELLA: Final = 400e6
"""Room that one lamella's images and the simulator's state need, generously rounded up (assumed)."""


def check_before_run(microscope: Microscope, method: MethodSettings, directory: Path, *, lamella_count: int) -> None:
    """Refuse a run that cannot end well: beams off, unknown currents, unreachable sites, too little disk space."""
    _check_beams(microscope)
    _check_currents(microscope.electron_beam, [("imaging", method.imaging.electron_current_a)])
    ion_currents = [("imaging", method.imaging.ion_current_a)]
    ion_currents += [(f"stage {stage.name}", stage.beam_current_a) for stage in milling_stages(method)]
    _check_currents(microscope.ion_beam, ion_currents)
    _check_sites(microscope, method)
    _check_disk(directory, lamella_count)


def milling_stages(method: MethodSettings) -> Iterator[MillingStage]:
    """Yield every enabled milling stage of a method in the order of its steps."""
    for step in method.steps:
        stages: list[MillingStage] = []
        if isinstance(step, MillFiducialSettings):
            stages = [step.stage]
        elif isinstance(step, MillRoughSettings | MillPolishSettings):
            stages = step.stages
        yield from (stage for stage in stages if stage.enabled)


def _check_beams(microscope: Microscope) -> None:
    off = [beam_type.value.lower() for beam_type in BeamType if not microscope.beam(beam_type).is_on()]
    if off:
        raise BeamError(f"the {' and the '.join(off)} beam is off; switch it on at the instrument, nothing was started")


def _check_currents(beam: Beam, wanted: list[tuple[str, float]]) -> None:
    available = list(beam.available_currents_a)
    for purpose, current_a in wanted:
        if not any(abs(current_a - known) <= 1e-6 * known for known in available):
            offered = ", ".join(format_quantity(known, "A") for known in available)
            raise ConfigError(
                f"{purpose} asks for {format_quantity(current_a, 'A')} on the {beam.beam_type.value.lower()} beam, "
                f"available are {offered}; choose one of them"
            )


def _check_sites(microscope: Microscope, method: MethodSettings) -> None:
    if not isinstance(method.selection, ListSelection):
        return
    for position in method.selection.positions:
        try:
            check_limits(microscope.stage.limits, position.to_stage_position())
        except StageLimitError as error:
            raise StageLimitError(f"site {position.name}: {error}") from error


def _check_disk(directory: Path, lamella_count: int) -> None:
    existing = next(folder for folder in (directory, *directory.resolve().parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    needed_bytes = BYTES_PER_LAMELLA * lamella_count
    if free_bytes < needed_bytes:
        raise StorageError(
            f"{existing} has {free_bytes / 1e9:.1f} GB free, {lamella_count} lamellae need "
            f"{needed_bytes / 1e9:.1f} GB; free disk space or choose another --experiment folder"
        )
