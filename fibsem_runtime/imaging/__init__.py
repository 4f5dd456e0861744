"""Image files in and out, registration, measurements on images and drawings on them."""

from fibsem_runtime.imaging.reader import read_image
from fibsem_runtime.imaging.tiff import write_image

__all__ = ["read_image", "write_image"]
