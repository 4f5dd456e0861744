"""Model manifest, inference engine, key-point features and the detector; runs on images, without a microscope."""

from fibsem_runtime.detection.detector import Detection, Detector, FeatureResult, StageTimes, open_detector
from fibsem_runtime.detection.features import FEATURES
from fibsem_runtime.detection.manifest import Manifest, list_models, read_manifest
from fibsem_runtime.detection.providers import available_providers
from fibsem_runtime.detection.segmentation import Box, Segmentation
from fibsem_runtime.detection.settings import EngineSettings

__all__ = [
    "FEATURES",
    "Box",
    "Detection",
    "Detector",
    "EngineSettings",
    "FeatureResult",
    "Manifest",
    "Segmentation",
    "StageTimes",
    "available_providers",
    "list_models",
    "open_detector",
    "read_manifest",
]
