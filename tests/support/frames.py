"""Small images with the metadata that an instrument gives."""

from __future__ import annotations

import numpy as np

from fibsem_runtime.core import BeamType, Image, ImageMetadata


def make_image(*, seed: int = 0, frame_id: str = "frame-1", shape: tuple[int, int] = (48, 64)) -> Image:
    """Return a noisy ion image of 100 nm pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image(pixels, ImageMetadata(beam_type=BeamType.ION, pixel_size_m=100e-9, frame_id=frame_id))
