from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.simulator.sample import Material, Sample
from drivers.simulator.scene import HoleSettings, SceneSettings, build_sample

ARRAYS = ("top_m", "bottom_m", "coating_m", "material")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return build_sample(SceneSettings(), seed=7)


def small(**changes: object) -> SceneSettings:
    return SceneSettings.model_validate({"map_width_um": 90, "square_um": 70, "cell_count": (2, 2)} | changes)


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (build_sample(small(), seed=3) for _ in range(2))
    assert all(getattr(one, name).tobytes() == getattr(two, name).tobytes() for name in ARRAYS)
    assert one.cells == two.cells


@pytest.mark.parametrize("name", ARRAYS)
def test_nobody_writes_into_the_surface_of_a_sample(sample: Sample, name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(sample, name)[0, 0] = 0


def test_another_seed_gives_another_square() -> None:
    one, two = (build_sample(small(), seed=seed) for seed in (3, 4))
    assert one.cells != two.cells
    assert not np.array_equal(one.top_m, two.top_m)


def test_the_map_is_fine_wide_and_below_the_memory_bound(sample: Sample) -> None:
    rows, columns = sample.top_m.shape
    assert 0.1e-6 <= sample.pitch_m <= 0.2e-6
    assert 250e-6 <= (columns - 1) * sample.pitch_m <= 350e-6
    assert rows == columns
    assert sum(getattr(sample, name).nbytes for name in ARRAYS) < 100e6
    assert [getattr(sample, name).dtype for name in ARRAYS] == [np.float32, np.float32, np.float32, np.uint8]


def test_bars_surround_the_square(sample: Sample) -> None:
    for edge in (sample.material[0], sample.material[-1], sample.material[:, 0], sample.material[:, -1]):
        assert (edge == Material.BAR).all()
    assert sample.bottom_m.min() == pytest.approx(-18e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_cells_are_as_many_and_as_large_as_asked(seed: int) -> None:
    settings = SceneSettings(pitch_um=0.5)
    cells = build_sample(settings, seed=seed).cells
    assert 8 <= len(cells) <= 14
    for cell in cells:
        assert 5e-6 <= cell.radius_x_m <= 10e-6
        assert 5e-6 <= cell.radius_y_m <= 10e-6
        assert 2.5e-6 <= cell.height_m <= 6e-6


@pytest.mark.parametrize("seed", range(5))
def test_some_cells_have_room_for_a_lamella_and_some_have_not(seed: int) -> None:
    sample = build_sample(SceneSettings(pitch_um=0.5), seed=seed)
    centres = np.array([(c.x_m, c.y_m) for c in sample.cells])
    gaps = np.linalg.norm(centres[:, np.newaxis] - centres, axis=2) + np.eye(len(centres))
    touches = np.array([[a.radius_x_m + b.radius_x_m for b in sample.cells] for a in sample.cells])
    near_bar = np.abs(centres).max(axis=1) > 85e-6
    crowded = (gaps < 1.2 * touches).any(axis=1) | near_bar
    assert crowded.any()
    assert (~crowded & (gaps.min(axis=1) > 25e-6)).sum() >= 3


def test_a_cell_rises_to_its_height_where_it_lies(sample: Sample) -> None:
    for cell in sample.cells:
        rows, columns = (
            slice(*(np.array([c - r, c + r]) - sample.x0_m) // sample.pitch_m)
            for c, r in ((cell.y_m, cell.radius_y_m), (cell.x_m, cell.radius_x_m))
        )
        window = tuple(slice(max(0, int(s.start)), int(s.stop)) for s in (rows, columns))
        assert sample.top_m[window].max() >= 0.95 * cell.height_m
        assert (sample.material[window] == Material.CELL).any()


def test_the_coating_lies_inside_the_top_and_is_a_little_uneven(sample: Sample) -> None:
    assert (sample.coating_m >= 0).all()
    assert sample.coating_m.mean() == pytest.approx(0.2e-6, rel=0.02)
    assert 0.05 < sample.coating_m.std() / sample.coating_m.mean() < 0.25
    assert (sample.top_m >= sample.coating_m).all()


def test_everything_that_can_be_switched_off_leaves_a_bare_flat_film() -> None:
    sample = build_sample(
        small(
            cell_count=(0, 0), coating_um=0, ice_film_um=0, ice_halo_um=0, crystal_count=0, roughness_nm=0,
            square_rotation_max_deg=0,
        ),
        seed=1,
    )  # fmt: skip
    assert not sample.cells
    assert (sample.top_m == 0).all()
    assert set(np.unique(sample.material)) == {Material.FILM, Material.BAR}
    assert sample.bottom_m.max() == pytest.approx(-12e-9)


def test_holes_of_the_film_stay_open_without_ice_and_are_bridged_by_it() -> None:
    holes = HoleSettings(diameter_um=2, lattice_um=4)
    dry = build_sample(small(holes=holes, crystal_count=0, cell_count=(0, 0), ice_halo_um=0), seed=1)
    wet = build_sample(small(holes=holes, crystal_count=0, cell_count=(0, 0), ice_film_um=0.1), seed=1)
    is_open = dry.top_m <= dry.bottom_m
    inside = dry.material != Material.BAR
    assert is_open[inside].mean() == pytest.approx(np.pi / 16, rel=0.1)
    assert not dry.coating_m[is_open].any()
    assert (wet.top_m > wet.bottom_m).all()
    assert (wet.bottom_m[is_open] == 0).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"square_um": 89}, "leaves no bar"),
        ({"cell_radius_um": (9, 5)}, "smaller end first"),
        ({"cell_height_um": (0, 5)}, "above zero"),
        ({"cell_count": (1, 100)}, "at most 60"),
        ({"cell_radius_um": (5, 31)}, "does not fit"),
        ({"holes": {"diameter_um": 3, "lattice_um": 3}}, "lattice_um of at least"),
        ({"hole": None}, "Extra inputs"),
        ({"coating_um": float("nan")}, "finite"),
    ],
)
def test_an_impossible_scene_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        small(**wrong)
