"""Run graphs outside of a detector: compare the masks of two and time both in one run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection.preparation import fit_image, place_image
from fibsem_runtime.detection.providers import PROVIDER_FAILURES, Provider, obtained, open_quietly, session_arguments


class OpenGraph:
    """A graph with one input, opened on one provider, whose outputs come back by name."""

    def __init__(self, path: Path, *, thread_count: int, provider: Provider = "cpu") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count
        options.inter_op_num_threads = 1
        try:
            self._session = open_quietly(path, options, session_arguments(provider, None))
        except PROVIDER_FAILURES as error:
            raise ModelError(f"{path} cannot be opened on {provider}: {' '.join(str(error).split())[:200]}") from error
        self.provider = obtained(self._session.get_providers())
        self._input = self._session.get_inputs()[0].name
        self._outputs = [item.name for item in self._session.get_outputs()]

    def run(self, pixels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return every output for (1, 1, height, width) pixels."""
        return dict(zip(self._outputs, self._session.run(None, {self._input: pixels}), strict=True))

    def time_ms(self, pixels: NDArray[Any]) -> float:
        """Return how long one run takes."""
        started_s = time.perf_counter()
        self._session.run(None, {self._input: pixels})
        return 1e3 * (time.perf_counter() - started_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Share of pixels with the same class: of all pixels, and in the image that agrees least."""

    mean_fraction: float
    worst_fraction: float


def prepare_frame(image: Image, frame_shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the image as a network's input, (1, 1, height, width) uint8."""
    frame = np.zeros(frame_shape, np.uint8)
    place_image(image, fit_image(image.shape, frame_shape), frame)
    return frame[np.newaxis, np.newaxis]


def agreement_of(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Agreement:
    """Compare pairs of class maps of equal size; at least one pair."""
    shares = [float(np.mean(first == second)) for first, second in pairs]
    return Agreement(mean_fraction=float(np.mean(shares)), worst_fraction=min(shares))


def compare_masks(first: OpenGraph, second: OpenGraph, frames: Sequence[NDArray[np.uint8]]) -> Agreement:
    """Compare the class maps of two deployed graphs on the same frames."""
    return agreement_of([(first.run(frame)["classes"], second.run(frame)["classes"]) for frame in frames])


def time_both_ms(
    first: OpenGraph, second: OpenGraph, frame: NDArray[np.uint8], *, run_count: int
) -> tuple[float, float]:
    """Return the median times of two graphs, run by turns so that what else the computer does meets both alike."""
    for graph in (first, second):
        graph.run(frame)
    times_ms = [(first.time_ms(frame), second.time_ms(frame)) for _ in range(run_count)]
    medians_ms = np.median(times_ms, axis=0)
    return float(medians_ms[0]), float(medians_ms[1])
