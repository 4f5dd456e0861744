"""The Thermo Fisher section of ``config.yaml``, in the units people speak.

What differs from site to site has no default: a rotation reference or a pre-tilt that is guessed moves the stage to a
wrong place. Sources are files and sections of the reference.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from drivers.thermofisher.insertion_settings import GasSettings, ManipulatorSettings, SputterSettings
from drivers.thermofisher.section import Section
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.shapes import CrossSection, RectangleShape, Shape, ShapeKind

CurrentPa: TypeAlias = Annotated[float, Field(gt=0, le=1e6)]
ViewNumber: TypeAlias = Annotated[int, Field(ge=1, le=4)]


class GeometrySettings(Section):
    """Geometry of one instrument with one shuttle (vendor-geometry.md section 1).

    52° is the ion column of every Thermo Fisher dual-beam; the rest is measured or read on site: the rotation reference
    (110° on a real Aquilos), the pre-tilt of the shuttle (35°; 0 on an Arctis), raw z at which the sample is eucentric
    and the eucentric working distances (Aquilos 7 and 19 mm, Hydra 4 and 16.5 mm, Arctis 10 and 16.5 mm). The rotation
    centre is the raw x, y at which the rotation axis runs through coincidence (section 7).
    """

    ion_column_tilt_deg: float = Field(default=52.0, gt=0, lt=90)
    pretilt_deg: float = Field(ge=0, lt=60)
    rotation_reference_deg: float = Field(ge=-360, le=360)
    eucentric_z_mm: float = Field(ge=-100, le=100)
    eucentric_working_distance_electron_mm: float = Field(gt=0, lt=100)
    eucentric_working_distance_ion_mm: float = Field(gt=0, lt=100)
    rotation_centre_x_mm: float = Field(default=0.0, ge=-100, le=100)
    rotation_centre_y_mm: float = Field(default=0.0, ge=-100, le=100)
    is_compustage: bool = False

    def chain(self) -> KinematicChain:
        """Return the kinematic chain: y and z ride on the tilt, +z lifts the sample (vendor-geometry.md section 2)."""
        return KinematicChain(
            ion_column_tilt_rad=math.radians(self.ion_column_tilt_deg),
            pretilt_rad=math.radians(self.pretilt_deg),
            rotation_reference_rad=math.radians(self.rotation_reference_deg),
            eucentric_z_m=self.eucentric_z_mm / 1e3,
            eucentric_working_distance_electron_m=self.eucentric_working_distance_electron_mm / 1e3,
            eucentric_working_distance_ion_m=self.eucentric_working_distance_ion_mm / 1e3,
            is_compustage=self.is_compustage,
            rotation_centre_x_m=self.rotation_centre_x_mm / 1e3,
            rotation_centre_y_m=self.rotation_centre_y_mm / 1e3,
        )


class TimeLimitSettings(Section):
    """How long a call may take before the connection counts as lost, seconds of real time.

    30 s a call and 300 s for automatic functions as Odemis uses (vendor-fakes.md section 4); frames get their scan time
    on top. Odemis gives pumping 300 s as well, which a vented chamber may exceed (assumed). A line heats in 15 s or is
    not ready (vendor-thermofisher.md section 12). The rest has no published figure (assumed).
    """

    call_s: float = Field(default=30.0, gt=0, le=600)
    move_s: float = Field(default=180.0, gt=0, le=1800)
    needle_s: float = Field(default=120.0, gt=0, le=1800)
    patterning_state_s: float = Field(default=10.0, gt=0, le=120)
    takeover_s: float = Field(default=5.0, gt=0, le=60)
    vacuum_s: float = Field(default=900.0, gt=0, le=7200)
    automatic_s: float = Field(default=300.0, gt=0, le=1800)
    source_s: float = Field(default=60.0, gt=0, le=1800)
    plasma_gas_s: float = Field(default=900.0, gt=0, le=7200)
    heating_s: float = Field(default=15.0, gt=0, le=1800)


class SettlingSettings(Section):
    """Waits after writing, seconds: 5 s after voltage and current (PyTriBeam, vendor-thermofisher.md section 7)."""

    current_s: float = Field(default=5.0, ge=0, le=60)
    voltage_s: float = Field(default=5.0, ge=0, le=60)
    needle_s: float = Field(default=1.0, ge=0, le=60)
    stage_s: float = Field(default=0.5, ge=0, le=60)


class MillingFileSettings(Section):
    """Application files of one material, by what is milled (milling.md section 2).

    Circles and bitmaps fail with some files; "Si" takes them (vendor-thermofisher.md section 13).
    """

    rectangle: str = Field(default="Si", min_length=1)
    regular: str = Field(default="Si-multipass", min_length=1)
    cleaning: str = Field(default="Si-ccs", min_length=1)
    line: str = Field(default="Si", min_length=1)
    circle: str = Field(default="Si", min_length=1)
    polygon: str = Field(default="Si", min_length=1)
    bitmap: str = Field(default="Si", min_length=1)

    def file_for(self, shape: Shape) -> str:
        """Return the name of the application file."""
        if isinstance(shape, RectangleShape):
            return {
                CrossSection.RECTANGLE: self.rectangle,
                CrossSection.REGULAR: self.regular,
                CrossSection.CLEANING: self.cleaning,
            }[shape.cross_section]
        return {
            ShapeKind.LINE: self.line,
            ShapeKind.CIRCLE: self.circle,
            ShapeKind.POLYGON: self.polygon,
            ShapeKind.BITMAP: self.bitmap,
        }[shape.kind]


class ThermoFisherSettings(Section):
    """One instrument of Thermo Fisher.

    ``electron_currents_pa`` are the currents offered for the electron beam, whose column takes any within its limits;
    those that it does not take are left out. ``applications`` maps what a milling stage calls its application to the
    site's files. Without ``manipulator`` a needle is only retracted, without ``gas`` no gas needle is used. With
    ``safe_state_retracts_manipulator`` off an inserted manipulator holds still in an emergency, for a person to look
    at. ``camera_view`` shows the chamber camera; None where there is none. ``spot_coordinates`` says in what AutoScript
    takes the place of a spot, which differs between sources (vendor-fakes.md Q4): without it no spot is exposed.
    """

    host: str = Field(default="localhost", min_length=1)
    port: int = Field(default=7520, ge=1, le=65535)
    geometry: GeometrySettings
    electron_view: ViewNumber = 1
    ion_view: ViewNumber = 2
    electron_currents_pa: tuple[CurrentPa, ...] = (1.6, 3.1, 6.3, 13, 25, 50, 100, 200, 400, 800, 1600, 3200)
    applications: dict[str, MillingFileSettings] = Field(default={"ice": MillingFileSettings()}, min_length=1)
    manipulator: ManipulatorSettings | None = None
    gas: GasSettings | None = None
    sputter: SputterSettings = SputterSettings()
    camera_view: ViewNumber | None = 4
    spot_coordinates: Literal["fraction", "pixel"] | None = None
    safe_state_retracts_manipulator: bool = True
    time_limits: TimeLimitSettings = TimeLimitSettings()
    settling: SettlingSettings = SettlingSettings()

    @field_validator("electron_currents_pa")
    @classmethod
    def _refuse_unordered(cls, currents_pa: tuple[float, ...]) -> tuple[float, ...]:
        if not currents_pa or list(currents_pa) != sorted(set(currents_pa)):
            raise ValueError("electron_currents_pa must be ascending without repetition, one at least")
        return currents_pa
