from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import electron_view, ion_view, make_specimen, mill_lamella
from views import BARE, ELECTRON, ION, QUIET

from drivers.simulator.optics import Conditions, OpticsSettings, auto_contrast, noise_free_signal, render
from drivers.simulator.sample import Material, Sample
from drivers.simulator.scene import SceneSettings, build_sample
from fibsem_runtime.core import ImageSettings

TOP_OF_CELL = (0.0, 0.0, 4.9e-6)
SMALL = ImageSettings(width_px=384, height_px=256, hfw_m=30e-6)


@pytest.fixture(scope="module")
def milled() -> Sample:
    sample = make_specimen()
    mill_lamella(sample, thickness_m=0.8e-6, count=4)
    return sample


def _seen(sample: Sample, *, beam: str, settings: ImageSettings = SMALL, optics: OpticsSettings = BARE) -> np.ndarray:
    view = electron_view(centre=TOP_OF_CELL) if beam == "electron" else ion_view(centre=TOP_OF_CELL)
    return noise_free_signal(sample, view, settings, ELECTRON if beam == "electron" else ION, optics)


def test_an_equal_seed_gives_equal_bytes_and_another_seed_other_noise(milled: Sample) -> None:
    view, optics = electron_view(centre=TOP_OF_CELL), OpticsSettings()
    first, again, other = (
        render(milled, view, SMALL, ELECTRON, optics, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("beam", ["electron", "ion"])
def test_any_number_of_cores_gives_equal_bytes(milled: Sample, beam: str, monkeypatch: pytest.MonkeyPatch) -> None:
    view = electron_view(centre=TOP_OF_CELL) if beam == "electron" else ion_view(centre=TOP_OF_CELL)
    frames = []
    for core_count in (1, 3, 8):
        monkeypatch.setattr("os.cpu_count", lambda count=core_count: count)
        frames.append(render(milled, view, SMALL, ELECTRON, OpticsSettings(), np.random.default_rng(4)).tobytes())
    assert len(set(frames)) == 1


def test_a_frame_has_the_size_and_depth_that_were_asked(milled: Sample) -> None:
    view = electron_view(centre=TOP_OF_CELL)
    for bit_depth, dtype in ((8, np.uint8), (16, np.uint16)):
        frame = render(
            milled, view, replace(SMALL, bit_depth=bit_depth), ELECTRON, OpticsSettings(), np.random.default_rng(0)
        )
        assert frame.shape == (256, 384)
        assert frame.dtype == dtype


@pytest.mark.parametrize("beam", ["electron", "ion"])
def test_a_trench_is_dark_in_both_beams(milled: Sample, beam: str) -> None:
    before, after = _seen(make_specimen(), beam=beam), _seen(milled, beam=beam)
    # The upper trench, 1 to 3 um above the lamella in the ion image and farther away in the electron image.
    rows, columns = (slice(106, 120), slice(170, 214)) if beam == "ion" else (slice(60, 90), slice(170, 214))
    assert after[rows, columns].mean() < 0.4 * before[rows, columns].mean()


def test_the_ion_image_is_not_the_inverted_electron_image(milled: Sample) -> None:
    electrons, ions = _seen(milled, beam="electron", optics=QUIET), _seen(milled, beam="ion", optics=QUIET)
    assert np.corrcoef(electrons.ravel(), ions.ravel())[0, 1] > -0.5


def test_a_steeper_slope_is_brighter() -> None:
    signal = _seen(make_specimen(), beam="electron")
    half_way, summit = signal[128, 192 + 100], signal[128, 192]
    near_the_rim = signal[128, 192 + 146]
    assert summit < half_way < near_the_rim


def test_the_edge_of_a_trench_is_brighter_than_the_surface_beside_it(milled: Sample) -> None:
    near = replace(SMALL, hfw_m=8e-6)
    plain = _seen(milled, beam="electron", settings=near)
    edged = _seen(milled, beam="electron", settings=near, optics=BARE.model_copy(update={"edge_brightening": True}))
    gain = edged - plain
    assert gain.min() >= 0
    assert gain.max() > 0.2 * plain.max()
    assert np.median(gain) == pytest.approx(0, abs=1e-3)


def test_cells_stand_out_from_the_film_through_the_coating() -> None:
    sample = build_sample(SceneSettings(map_width_um=60, square_um=50, cell_count=(1, 1), crowded_cell_count=0), seed=1)
    cell = sample.cells[0]
    view = electron_view(centre=(cell.x_m, cell.y_m, 0))
    settings = ImageSettings(width_px=192, height_px=128, hfw_m=30e-6)
    signal = noise_free_signal(sample, view, settings, ELECTRON, QUIET)
    x = (np.arange(192) - 95.5) * settings.pixel_size_m + cell.x_m
    y = (63.5 - np.arange(128)) * settings.pixel_size_m + cell.y_m
    i = np.round((x - sample.x0_m) / sample.pitch_m).astype(int)
    j = np.round((y - sample.y0_m) / sample.pitch_m).astype(int)
    inside = (i >= 0) & (i < sample.top_m.shape[1])
    material = sample.material[np.clip(j, 0, None)[:, None], np.clip(i, 0, sample.top_m.shape[1] - 1)[None, :]]
    on_cell = (material == Material.CELL) & inside
    on_film = ((material == Material.ICE) | (material == Material.FILM)) & inside
    assert on_cell.sum() > 500 and on_film.sum() > 500
    assert np.median(signal[on_cell]) > 1.3 * np.median(signal[on_film])


def _neighbour_correlation(frame: np.ndarray) -> float:
    values = frame.astype(float)
    return float(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1])


def test_a_fast_scan_at_low_current_is_as_noisy_as_on_an_instrument() -> None:
    """Anchor 4 of physics.md section 12: 0.16 at 25 pA and 0.2 us, 0.3-0.5 at 1 us."""
    sample = build_sample(SceneSettings(map_width_um=180, square_um=160), seed=3)
    conditions = replace(ELECTRON, beam_current_a=25e-12)
    correlations = []
    for dwell_time_s in (0.2e-6, 1e-6):
        settings = ImageSettings(width_px=768, height_px=512, hfw_m=150e-6, dwell_time_s=dwell_time_s)
        tuned = _tune(sample, settings, conditions)
        frame = render(sample, electron_view(), settings, tuned, OpticsSettings(), np.random.default_rng(1))
        correlations.append(_neighbour_correlation(frame))
    assert 0.06 < correlations[0] < 0.26
    assert 0.28 < correlations[1] < 0.6


def _tune(sample: Sample, settings: ImageSettings, conditions: Conditions) -> Conditions:
    brightness, contrast = auto_contrast(
        sample, electron_view(), settings, conditions, OpticsSettings(), np.random.default_rng(0)
    )
    return replace(conditions, brightness_fraction=brightness, contrast_fraction=contrast)


@pytest.mark.parametrize("beam", ["electron", "ion"])
def test_auto_contrast_uses_the_range_without_clipping_the_picture(milled: Sample, beam: str) -> None:
    view = electron_view(centre=TOP_OF_CELL) if beam == "electron" else ion_view(centre=TOP_OF_CELL)
    conditions = ELECTRON if beam == "electron" else ION
    optics = OpticsSettings()
    brightness, contrast = auto_contrast(milled, view, SMALL, conditions, optics, np.random.default_rng(0))
    tuned = replace(conditions, brightness_fraction=brightness, contrast_fraction=contrast)
    frame = render(milled, view, SMALL, tuned, optics, np.random.default_rng(1))
    low, high = np.percentile(frame, [1, 99])
    assert high - low > 100
    assert np.mean((frame == 0) | (frame == 255)) < 0.03


def test_integrating_four_lines_halves_the_noise(milled: Sample) -> None:
    view = electron_view(centre=TOP_OF_CELL)
    clean = render(milled, view, replace(SMALL, bit_depth=16), ELECTRON, QUIET, np.random.default_rng(0)).astype(float)
    optics = OpticsSettings(amplifier_noise_ratio=0)
    spread = []
    for settings in (SMALL, replace(SMALL, line_integration_count=4), replace(SMALL, frame_integration_count=4)):
        noisy = render(milled, view, replace(settings, bit_depth=16), ELECTRON, optics, np.random.default_rng(3))
        spread.append(float(np.std(noisy.astype(float) - clean)))
    assert spread[1] == pytest.approx(spread[0] / 2, rel=0.08)
    assert spread[2] == pytest.approx(spread[0] / 2, rel=0.08)


def _sharpness(signal: np.ndarray) -> float:
    return float(np.var(np.diff(signal, axis=0)) + np.var(np.diff(signal, axis=1)))


def test_defocus_blurs_on_both_sides_of_focus(milled: Sample) -> None:
    view = electron_view(centre=TOP_OF_CELL)
    values = [
        _sharpness(noise_free_signal(milled, view, SMALL, replace(ELECTRON, defocus_m=d), QUIET))
        for d in (-200e-6, -60e-6, 0.0, 60e-6, 200e-6)
    ]
    assert values[0] < values[1] < values[2] > values[3] > values[4]
    assert values[1] == pytest.approx(values[3], rel=1e-6)


def test_stigmation_smears_along_one_axis_out_of_focus(milled: Sample) -> None:
    view = electron_view(centre=TOP_OF_CELL)
    over, under = (
        noise_free_signal(milled, view, SMALL, replace(ELECTRON, defocus_m=d, stigmation_x=3.0), QUIET)
        for d in (60e-6, -60e-6)
    )
    along_x = [float(np.var(np.diff(s, axis=1))) for s in (over, under)]
    along_y = [float(np.var(np.diff(s, axis=0))) for s in (over, under)]
    assert along_x[0] < along_x[1]
    assert along_y[0] > along_y[1]


def test_texture_moves_with_the_sample_and_can_be_switched_off() -> None:
    sample = make_specimen(holes=False)
    settings = replace(SMALL, hfw_m=20e-6)
    textured, flat = (
        noise_free_signal(sample, electron_view(centre=(40e-6, 40e-6, 0)), settings, ELECTRON, optics)
        for optics in (QUIET, QUIET.model_copy(update={"texture": False}))
    )
    assert float(np.std(flat)) < 1e-3 < float(np.std(textured))
    moved = noise_free_signal(
        sample, electron_view(centre=(40e-6 + 16 * settings.pixel_size_m, 40e-6, 0)), settings, ELECTRON, QUIET
    )
    assert np.allclose(moved[:, :-16], textured[:, 16:], atol=1e-4)
