"""The pixels that one drawing of a frame covers."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import ImageSettings, RelativeArea


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Rectangle of pixels of a full frame, possibly beyond its border; ``pixel_size_m`` and full size give metres."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int
    full_width_px: int
    full_height_px: int
    pixel_size_m: float


def region_of(settings: ImageSettings, *, margin_px: int = 0, multiple_px: int = 1) -> Region:
    """Return the pixels of a frame or its reduced area with a margin, starting and ending on multiples."""
    whole = RelativeArea(left_fraction=0, top_fraction=0, width_fraction=1, height_fraction=1)
    area = (settings.reduced_area or whole).to_pixels(settings.width_px, settings.height_px)
    left_px, top_px = ((start - margin_px) // multiple_px * multiple_px for start in area[:2])
    right_px, bottom_px = (
        -(-(start + size + margin_px) // multiple_px) * multiple_px
        for start, size in zip(area[:2], area[2:], strict=True)
    )
    return Region(
        left_px=left_px,
        top_px=top_px,
        width_px=right_px - left_px,
        height_px=bottom_px - top_px,
        full_width_px=settings.width_px,
        full_height_px=settings.height_px,
        pixel_size_m=settings.pixel_size_m,
    )
