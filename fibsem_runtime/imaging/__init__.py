"""Image files in and out, registration, measurements on images and drawings on them."""

from fibsem_runtime.imaging.cells import Blob, find_cell_near, find_cells
from fibsem_runtime.imaging.coincidence import Coincidence, measure_coincidence
from fibsem_runtime.imaging.draw import (
    Box,
    Mark,
    draw_boxes,
    draw_marks,
    draw_scale_bar,
    draw_title,
    side_by_side,
    to_png,
    to_rgb,
)
from fibsem_runtime.imaging.focus import (
    Exposure,
    laplacian_score,
    measure_exposure,
    normalised_variance_score,
    tenengrad_score,
)
from fibsem_runtime.imaging.reader import read_image
from fibsem_runtime.imaging.registration import Registration, RegistrationGates, register
from fibsem_runtime.imaging.slab import Slab, measure_slab
from fibsem_runtime.imaging.tiff import write_image, write_mask

__all__ = [
    "Blob",
    "Box",
    "Coincidence",
    "Exposure",
    "Mark",
    "Registration",
    "RegistrationGates",
    "Slab",
    "draw_boxes",
    "draw_marks",
    "draw_scale_bar",
    "draw_title",
    "find_cell_near",
    "find_cells",
    "laplacian_score",
    "measure_coincidence",
    "measure_exposure",
    "measure_slab",
    "normalised_variance_score",
    "read_image",
    "register",
    "side_by_side",
    "tenengrad_score",
    "to_png",
    "to_rgb",
    "write_image",
    "write_mask",
]
