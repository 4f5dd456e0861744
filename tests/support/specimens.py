"""A small specimen of known geometry: domes on a film with holes, trenches that leave a lamella of known edges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Cell, Cut, Material, Sample
from drivers.simulator.view import View

MILLING_ANGLE_RAD = math.radians(12)


def _below(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of a normal distribution below ``value``."""
    return np.array([0.5 + 0.5 * math.erf(v / math.sqrt(2)) for v in value])


def electron_view(
    tilt_rad: float = 0.0, *, centre: tuple[float, float, float] = (0, 0, 0), scan_rad: float = 0.0
) -> View:
    """Look down on the specimen, tilted about x; 0 is flat."""
    direction = np.array([0.0, math.sin(tilt_rad), -math.cos(tilt_rad)])
    return _view(direction, centre, scan_rad)


def ion_view(
    angle_rad: float = MILLING_ANGLE_RAD, *, centre: tuple[float, float, float] = (0, 0, 0), scan_rad: float = 0.0
) -> View:
    """Look at the specimen from the side of +y, at ``angle_rad`` to its surface."""
    return _view(np.array([0.0, -math.cos(angle_rad), -math.sin(angle_rad)]), centre, scan_rad)


def _view(direction: NDArray[np.float64], centre: tuple[float, float, float], scan_rad: float) -> View:
    across = np.array([1.0, 0.0, 0.0])
    up = np.cross(-direction, across)
    cosine, sine = math.cos(scan_rad), math.sin(scan_rad)
    return View(
        origin=np.array(centre, float) - 0.0165 * direction,
        right=cosine * across + sine * up,
        up=-sine * across + cosine * up,
        direction=direction,
    )


def shifted(view: View, dx_m: float, dy_m: float) -> View:
    """Move the image content by (dx, dy), y up."""
    return View(
        origin=view.origin - dx_m * view.right - dy_m * view.up,
        right=view.right,
        up=view.up,
        direction=view.direction,
    )


def make_specimen(*, half_width_m: float = 60e-6, pitch_m: float = 0.2e-6, holes: bool = True) -> Sample:
    """Film of 30 nm with holes of 2 um, three cells of up to 6 um, half a micrometre of coating on the cells."""
    count = 2 * round(half_width_m / pitch_m) + 1
    axis = -half_width_m + pitch_m * np.arange(count)
    x, y = np.meshgrid(axis, axis)
    top = np.zeros((count, count))
    bottom = np.full((count, count), -30e-9)
    material = np.full((count, count), Material.FILM, np.uint8)
    cells = [
        Cell(x_m=0.0, y_m=0.0, radius_x_m=12e-6, radius_y_m=11e-6, height_m=5e-6),
        Cell(x_m=28e-6, y_m=14e-6, radius_x_m=10e-6, radius_y_m=8e-6, height_m=6e-6),
        Cell(x_m=-24e-6, y_m=-20e-6, radius_x_m=9e-6, radius_y_m=12e-6, height_m=3e-6),
    ]
    for cell in cells:
        inside = ((x - cell.x_m) / cell.radius_x_m) ** 2 + ((y - cell.y_m) / cell.radius_y_m) ** 2
        dome = cell.height_m * np.clip(1 - inside, 0, None) ** 0.7
        material[dome > top] = Material.CELL
        top = np.maximum(top, dome)
    if holes:
        hole = np.hypot((x + 2e-6) % 4e-6 - 2e-6, (y + 2e-6) % 4e-6 - 2e-6) < 1e-6
        empty = hole & (material == Material.FILM)
        top[empty] = -1e-6
        bottom[empty] = 1e-6
    coating = np.where(material == Material.CELL, 0.5e-6, 0.0)
    return Sample(
        x0_m=-half_width_m,
        y0_m=-half_width_m,
        pitch_m=pitch_m,
        top_m=top.astype(np.float32),
        bottom_m=bottom.astype(np.float32),
        coating_m=coating.astype(np.float32),
        material=material,
        cells=cells,
    )


def make_trench(
    *,
    v_low_m: float,
    v_high_m: float,
    width_m: float = 10e-6,
    u_m: float = 0.0,
    sigma_m: float = 40e-9,
    depth_m: float = 60e-6,
    origin: tuple[float, float, float] = (0.0, 0.0, 4.9e-6),
    angle_rad: float = MILLING_ANGLE_RAD,
    dv_m: float = 20e-9,
    du_m: float = 50e-9,
) -> Cut:
    """Mill ``v_low..v_high`` across the ion beam, edges blurred by the beam; front 0 where the dose is half."""
    view = ion_view(angle_rad)
    axes = np.stack([view.right, view.up, view.direction])
    margin = 5 * sigma_m
    u = np.arange(u_m - width_m / 2 - margin, u_m + width_m / 2 + margin, du_m)
    v = np.arange(v_low_m - margin, v_high_m + margin, dv_m)
    across = _below((u - u_m + width_m / 2) / sigma_m) * _below((u_m + width_m / 2 - u) / sigma_m)
    along = _below((v - v_low_m) / sigma_m) * _below((v_high_m - v) / sigma_m)
    dose = along[:, None] * across[None, :]
    front = np.where(dose > 1e-3, -depth_m / 2 + depth_m * dose, -np.inf)
    return Cut(
        origin=np.array(origin),
        axes=axes,
        u0_m=u[0],
        du_m=du_m,
        v0_m=v[0],
        dv_m=dv_m,
        front_m=front.astype(np.float32),
        drawn_m=np.array([[u_m - width_m / 2, v_low_m], [u_m + width_m / 2, v_high_m]]),
    )


def mill_lamella(sample: Sample, *, thickness_m: float = 200e-9, count: int = 2, sigma_m: float = 40e-9) -> None:
    """Add trenches above and below a lamella on the first cell, in ``count`` cuts from far to near."""
    for k in range(count // 2):
        gap = thickness_m / 2 + 2e-6 * (count // 2 - 1 - k) / max(count // 2 - 1, 1)
        for low_m in (gap, -gap - 3.5e-6):
            sample.cuts.append(
                make_trench(v_low_m=low_m, v_high_m=low_m + 3.5e-6, sigma_m=sigma_m, dv_m=max(sigma_m / 2, 4e-9))
            )
