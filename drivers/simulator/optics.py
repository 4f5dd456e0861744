"""From truth and beam state to image: the interface of the simulator's optics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bands import BAND, in_bands
from drivers.simulator.blur import blur, decimation, probe_covariance_px, reach_px
from drivers.simulator.charging import charge
from drivers.simulator.layers import Sight, overlay
from drivers.simulator.noise import add_shot_noise, digitise, fit_range, primary_count
from drivers.simulator.optics_settings import BeamLook, OpticsSettings
from drivers.simulator.region import Region, region_of
from drivers.simulator.render import LookArrays, draw, locate, prepare
from drivers.simulator.sample import Material, Sample
from drivers.simulator.shading import Look
from drivers.simulator.surface import NOTHING
from drivers.simulator.texture import noise_volume, resolved_octaves
from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImagePoint, ImageSettings, Pixels, SpecimenPosition
from fibsem_runtime.core.units import NM, UM

__all__ = ["Conditions", "OpticsSettings", "auto_contrast", "first_hit", "render"]

_STEP_FRACTION: Final = 0.3
_CONTRAST_WIDTH_PX: Final = 256
_CONTRAST_MARGIN: Final = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """State of the beam and its detector while a frame is scanned.

    ``defocus_m`` is the distance of the focus from the specimen along the beam, ``focus_m`` its distance from the
    origin of the view, which tells how far other bodies are out of focus. ``probe_sigma_m`` is the width of the focused
    probe (one sigma), stigmation is the residual error, 0 for a corrected beam.
    """

    beam_type: BeamType
    beam_current_a: float
    voltage_v: float
    defocus_m: float
    focus_m: float = 0.0
    stigmation_x: float
    stigmation_y: float
    probe_sigma_m: float
    brightness_fraction: float
    contrast_fraction: float


def render(
    sample: Sample,
    view: View,
    settings: ImageSettings,
    conditions: Conditions,
    optics: OpticsSettings,
    rng: np.random.Generator,
    *,
    others: Sequence[Sight] = (),
    gain_ratio: float = 1.0,
) -> Pixels:
    """Scan one frame, (height, width) of the reduced area if one is asked, uint8 or uint16.

    The signal of a reduced area equals that of the full frame there; its noise is drawn anew from ``rng``. Equal
    arguments and an equal state of ``rng`` give equal bytes.
    """
    signal = _noisy_signal(sample, view, settings, conditions, optics, rng, others=others, gain_ratio=gain_ratio)
    return digitise(
        signal,
        brightness_fraction=conditions.brightness_fraction,
        contrast_fraction=conditions.contrast_fraction,
        bit_depth=settings.bit_depth,
    )


def auto_contrast(
    sample: Sample,
    view: View,
    settings: ImageSettings,
    conditions: Conditions,
    optics: OpticsSettings,
    rng: np.random.Generator,
    *,
    others: Sequence[Sight] = (),
    gain_ratio: float = 1.0,
) -> tuple[float, float]:
    """Scan a small frame of the present field and return the (brightness, contrast) fractions that use the range."""
    small = replace(
        settings,
        width_px=_CONTRAST_WIDTH_PX,
        height_px=max(1, round(_CONTRAST_WIDTH_PX * settings.height_px / settings.width_px)),
    )
    signal = _noisy_signal(sample, view, small, conditions, optics, rng, others=others, gain_ratio=gain_ratio)
    return fit_range(signal, margin_fraction=_CONTRAST_MARGIN)


def first_hit(sample: Sample, view: View, point: ImagePoint) -> SpecimenPosition | None:
    """Return the specimen point that an image point shows, None where the beam meets nothing."""
    region = Region(
        left_px=0, top_px=0, width_px=1, height_px=1, full_width_px=1, full_height_px=1, pixel_size_m=1 * NM
    )
    there = View(
        origin=view.origin + point.x_m * view.right + point.y_m * view.up,
        right=view.right,
        up=view.up,
        direction=view.direction,
    )
    places, kinds = locate(prepare(sample, there, region))
    if kinds[0, 0] == NOTHING:
        return None
    x_m, y_m, z_m = map(float, places[0, 0])
    return SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m)


def noise_free_signal(
    sample: Sample,
    view: View,
    settings: ImageSettings,
    conditions: Conditions,
    optics: OpticsSettings,
    *,
    others: Sequence[Sight] = (),
    gain_ratio: float = 1.0,
) -> NDArray[np.float32]:
    """Return the signal of a frame before noise and detector, 1 being about film at normal incidence times two.

    ``others`` are bodies beside the sample that the same rays meet; ``gain_ratio`` multiplies the sample's own signal.
    """
    pixel_m = settings.pixel_size_m
    covariance = _covariance_px(conditions, optics, pixel_m)
    escape_px = optics.edge_width_fraction * _range_m(conditions, optics) / pixel_m if optics.edge_brightening else 0.0
    margin_px = reach_px(covariance) + math.ceil(3 * escape_px) + 2
    region = region_of(settings, margin_px=margin_px, multiple_px=decimation(covariance))
    look = _look(conditions, optics, pixel_m)
    signal, sky = draw(prepare(sample, view, region), look, step_fraction=_STEP_FRACTION)
    if gain_ratio != 1.0:
        signal *= np.float32(gain_ratio)

    def finish(shown: NDArray[np.float32], open_sky: NDArray[np.float32]) -> None:
        if optics.edge_brightening:
            _brighten_edges(shown, open_sky, escape_px, _beam_look(conditions.beam_type, optics).edge_gain)

    finish(signal, sky)
    signal = blur(signal, covariance)
    if others:
        overlay(
            signal,
            [Sight(sample=sample, view=view), *others],
            region,
            look,
            step_fraction=_STEP_FRACTION,
            covariance_at=lambda at_m: _covariance_px(
                replace(conditions, defocus_m=conditions.focus_m - at_m), optics, pixel_m
            ),
            finish=finish,
        )
    asked = region_of(settings)
    row, column = asked.top_px - region.top_px, asked.left_px - region.left_px
    return signal[row : row + asked.height_px, column : column + asked.width_px]


def _noisy_signal(
    sample: Sample,
    view: View,
    settings: ImageSettings,
    conditions: Conditions,
    optics: OpticsSettings,
    rng: np.random.Generator,
    *,
    others: Sequence[Sight] = (),
    gain_ratio: float = 1.0,
) -> NDArray[np.float32]:
    signal = noise_free_signal(sample, view, settings, conditions, optics, others=others, gain_ratio=gain_ratio)
    signal = charge(
        signal,
        settings,
        beam_current_a=conditions.beam_current_a,
        voltage_v=conditions.voltage_v,
        settings=optics.charging,
    )
    if not optics.noise:
        return signal
    detected_fraction = _beam_look(conditions.beam_type, optics).detected_fraction
    return add_shot_noise(
        signal,
        quantum_count=detected_fraction * primary_count(settings, conditions.beam_current_a),
        amplifier_noise_ratio=optics.amplifier_noise_ratio,
        rng=rng,
    )


def _brighten_edges(signal: NDArray[np.float32], sky: NDArray[np.float32], escape_px: float, edge_gain: float) -> None:
    """Add how much more open a point is than its surroundings within the escape length: bright rims of trenches."""
    sigma = max(escape_px, 0.3)
    reach = math.ceil(3 * sigma)
    size = (2 * reach + 1, 2 * reach + 1)

    def add(first: int, last: int) -> None:
        top = max(first - reach, 0)
        near = sky[top : last + reach]
        gain = cv2.GaussianBlur(near, size, sigma, borderType=cv2.BORDER_REPLICATE)[first - top : last - top]
        np.subtract(sky[first:last], gain, out=gain)
        np.maximum(gain, 0, out=gain)
        signal[first:last] += np.float32(edge_gain) * gain

    in_bands(add, len(sky), band=max(BAND, 4 * reach))


def _range_m(conditions: Conditions, optics: OpticsSettings) -> float:
    """Return how far the beam reaches into ice.

    Electrons: 0.0276 A E^1.67 / (Z^0.89 rho) um with E in keV, A 14.3, Z 7.2 and rho 0.93 g/cm3 (Kanaya and Okayama
    1972, J. Phys. D 5, 43): 0.23 um at 2 kV. Ions: the setting.
    """
    if conditions.beam_type is BeamType.ION:
        return optics.ion_range_nm * NM
    energy_kev = conditions.voltage_v / 1000
    return float(0.0276 * 14.3 * energy_kev**1.67 / (7.2**0.89 * 0.93)) * UM


def _covariance_px(conditions: Conditions, optics: OpticsSettings, pixel_m: float) -> NDArray[np.float64]:
    is_ion = conditions.beam_type is BeamType.ION
    angle_rad = (optics.ion_convergence_mrad if is_ion else optics.electron_convergence_mrad) * 1e-3
    spread = 0.5 * angle_rad / pixel_m if optics.defocus else 0.0
    astigmatism_m = optics.stigmation_um * UM
    return probe_covariance_px(
        probe_px=conditions.probe_sigma_m / pixel_m if optics.probe else 0.0,
        defocus_px=spread * conditions.defocus_m,
        astigmatism_x_px=spread * astigmatism_m * conditions.stigmation_x,
        astigmatism_y_px=spread * astigmatism_m * conditions.stigmation_y,
    )


def _beam_look(beam_type: BeamType, optics: OpticsSettings) -> BeamLook:
    return optics.ion if beam_type is BeamType.ION else optics.electron


def _yields(beam: BeamLook) -> NDArray[np.float32]:
    """Return the signals by `Material`, (2, materials): each by itself, and what a column has above the film.

    Above a bar lies ice, and at the rim of a hole film.
    """
    yields = np.array([beam.yields(), beam.yields()], np.float32)
    yields[1, Material.VACUUM], yields[1, Material.BAR] = beam.film_yield, beam.ice_yield
    return yields


def _look(conditions: Conditions, optics: OpticsSettings, pixel_m: float) -> LookArrays:
    beam = _beam_look(conditions.beam_type, optics)
    wavelengths_m = [w * UM for w in optics.texture_wavelengths_um]
    look = np.zeros(len(Look))
    look[Look.MILLED_FRACTION] = beam.milled_fraction
    look[Look.UNDERSIDE_FRACTION] = optics.underside_fraction
    look[Look.SOFTNESS] = 1 / (beam.grazing_ratio - 1)
    look[Look.SHADOW_FLOOR_FRACTION] = optics.shadow_floor_fraction
    look[Look.BACKGROUND] = optics.background_fraction
    look[Look.TEXTURE_FRACTION] = beam.texture_fraction if optics.texture else 0.0
    look[Look.CURTAIN_FRACTION] = optics.curtain_fraction if optics.curtains else 0.0
    look[Look.CURTAIN_WIDTH_M] = optics.curtain_width_um * UM
    look[Look.RANGE_M] = _range_m(conditions, optics)
    look[Look.TRANSPARENCY_FRACTION] = beam.transparency_fraction
    return look, _yields(beam), resolved_octaves(wavelengths_m, pixel_m, optics.texture_exponent), noise_volume()
