"""The CUDA and TensorRT paths with a mocked GPU: which file, which memory, which cache, and that it is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from class_maps import LAMELLA, box, empty, gray
from pytest_mock import MockerFixture
from structlog.testing import capture_logs
from tiny_models import write_level_model

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection import EngineSettings, open_detector, read_manifest
from fibsem_runtime.detection.engine_cache import engine_folder, gpu_identity, holds_engine
from fibsem_runtime.detection.manifest import ModelFile, preferred_precision, write_manifest

ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
Opened = list[tuple[str, list[tuple[str, dict[str, str]]]]]


class OnGpu:
    """A CPU session that says it is another provider's; what is bound on cuda comes to it as main memory."""

    def __init__(self, path: str, options: Any, providers: list[str]) -> None:
        self._real = _REAL_SESSION(path, options, providers=["CPUExecutionProvider"])
        self._providers = providers
        self.runs = 0

    def get_providers(self) -> list[str]:
        return self._providers

    def run_with_iobinding(self, binding: Any) -> None:
        self.runs += 1
        self._real.run_with_iobinding(binding)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


_REAL_SESSION = onnxruntime.InferenceSession
_REAL_FROM_NUMPY = onnxruntime.OrtValue.ortvalue_from_numpy
_REAL_FROM_SHAPE = onnxruntime.OrtValue.ortvalue_from_shape_and_type


@pytest.fixture
def gpu(mocker: MockerFixture) -> Opened:
    """Give this computer a GPU on which every provider opens; return what is opened with which options."""
    opened: Opened = []

    def open_session(path: str, options: Any, *, providers: Any, enable_fallback: int) -> Any:
        opened.append((path, providers))
        return OnGpu(path, options, [name for name, _ in providers])

    def from_numpy(array: Any, device: str, number: int) -> Any:
        assert (device, number) == ("cuda", 0)
        return _REAL_FROM_NUMPY(array)

    def from_shape(shape: Any, kind: Any, device: str, number: int) -> Any:
        assert (device, number) == ("cuda", 0)
        return _REAL_FROM_SHAPE(shape, kind)

    mocker.patch.object(onnxruntime, "get_available_providers", return_value=ALL)
    mocker.patch.object(onnxruntime, "InferenceSession", side_effect=open_session)
    mocker.patch.object(onnxruntime.OrtValue, "ortvalue_from_numpy", side_effect=from_numpy)
    mocker.patch.object(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", side_effect=from_shape)
    answer = subprocess.CompletedProcess((), 0, stdout="NVIDIA RTX A4000, 580.1\n")
    mocker.patch.object(subprocess, "run", return_value=answer)
    return opened


@pytest.fixture
def levels(tmp_path: Path) -> Path:
    """A model in all three precisions; the files are the same graph."""
    folder = write_level_model(tmp_path / "levels")
    manifest = read_manifest(folder)
    first = manifest.files["fp32"]
    files = {}
    for precision in ("fp32", "fp16", "int8"):
        (folder / f"{precision}.onnx").write_bytes((folder / first.file).read_bytes())
        files[precision] = ModelFile(file=f"{precision}.onnx", sha256=first.sha256)
    write_manifest(folder, manifest.model_copy(update={"files": files}))
    return folder


def lamella_at(x_px: int) -> Image:
    return Image(gray(box(empty(), LAMELLA, x_px, 200, x_px + 100, 260)), ImageMetadata())


@pytest.mark.parametrize(
    ("provider", "precision"), [("cpu", "int8"), ("cuda", "fp16"), ("tensorrt", "fp32")], ids=lambda v: str(v)
)
def test_each_provider_opens_the_file_that_suits_it(
    gpu: Opened, levels: Path, tmp_path: Path, provider: Any, precision: str
) -> None:
    detector = open_detector(levels, EngineSettings(providers=(provider,), engine_cache=str(tmp_path / "cache")))
    assert (detector.provider, detector.precision) == (provider, precision)
    assert [Path(path).name for path, _ in gpu] == [f"{precision}.onnx"]


def test_a_stated_precision_wins_and_a_model_without_the_best_takes_the_next(gpu: Opened, levels: Path) -> None:
    assert open_detector(levels, EngineSettings(precision="fp32")).precision == "fp32"
    manifest = read_manifest(levels)
    only = manifest.model_copy(update={"files": {"fp32": manifest.files["fp32"]}})
    assert {preferred_precision(only, provider) for provider in ("cpu", "cuda", "tensorrt")} == {"fp32"}


def test_what_is_fallen_back_on_gets_its_own_file(levels: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(onnxruntime, "get_available_providers", return_value=ALL[1:])

    def refuse(path: str, options: Any, *, providers: Any, enable_fallback: int) -> Any:
        if providers[0][0] != "CPUExecutionProvider":
            raise RuntimeError("no libcudnn")
        return _REAL_SESSION(path, options, providers=providers)

    mocker.patch.object(onnxruntime, "InferenceSession", side_effect=refuse)
    with capture_logs() as logs:
        detector = open_detector(levels, EngineSettings(providers=("cuda", "cpu"), allow_fallback=True))
    assert (detector.provider, detector.precision) == ("cpu", "int8")
    assert [entry["provider"] for entry in logs if entry["event"] == "provider_unavailable"] == ["cuda"]


def test_images_travel_to_the_gpu_and_masks_back(gpu: Opened, levels: Path) -> None:
    detector = open_detector(levels, EngineSettings(providers=("cuda",)))
    for x_px in (100, 400):
        found = detector.find(lamella_at(x_px), ["LamellaCentre"])["LamellaCentre"]
        assert found.point == PixelPoint(x_px + 50, 230)


@pytest.mark.parametrize(("provider", "option"), [("cuda", "enable_cuda_graph"), ("tensorrt", "trt_cuda_graph_enable")])
def test_a_graph_is_captured_and_replayed_once_before_the_model_is_ready(
    gpu: Opened, levels: Path, tmp_path: Path, mocker: MockerFixture, provider: Any, option: str
) -> None:
    count = mocker.spy(OnGpu, "run_with_iobinding")
    open_detector(levels, EngineSettings(providers=(provider,), engine_cache=str(tmp_path / "cache")))
    assert gpu[0][1][0][1][option] == "1"
    assert count.call_count == 2


def test_pixels_are_written_into_page_locked_memory_where_there_is_some(
    gpu: Opened, levels: Path, mocker: MockerFixture
) -> None:
    asked: list[Any] = []

    class Device:
        ep_name = "CUDAExecutionProvider"

        def memory_info(self, kind: Any) -> str:
            asked.append(kind)
            return "page-locked"

    def allocate(shape: Any, kind: Any, *_device: Any, memory_info: Any = None) -> Any:
        asked.append(memory_info)
        return _REAL_FROM_SHAPE(shape, kind)

    mocker.patch.object(onnxruntime, "get_ep_devices", return_value=[Device()])
    mocker.patch.object(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", side_effect=allocate)
    detector = open_detector(levels, EngineSettings(providers=("cuda",)))
    assert asked[:2] == [onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE, "page-locked"]
    assert detector.find(lamella_at(300), ["LamellaCentre"])["LamellaCentre"].point == PixelPoint(350, 230)


def test_an_engine_is_kept_by_model_gpu_and_version_and_building_is_told_once(
    gpu: Opened, levels: Path, tmp_path: Path
) -> None:
    wanted = EngineSettings(providers=("tensorrt",), engine_cache=str(tmp_path / "cache"))
    with capture_logs() as first:
        detector = open_detector(levels, wanted)
    options = gpu[0][1][0][1]
    folder = Path(options["trt_engine_cache_path"])
    assert folder.parent == tmp_path / "cache" and options["trt_timing_cache_path"] == str(folder)
    assert folder.name == f"{detector.model_sha256[:16]}-nvidia-rtx-a4000-580.1-ort{onnxruntime.__version__}"
    assert [entry["log_level"] for entry in first if entry["event"] == "building_engine"] == ["warning"]
    (folder / "graph.engine").touch()
    with capture_logs() as second:
        open_detector(levels, wanted)
    assert not [entry for entry in second if entry["event"] == "building_engine"]


@pytest.mark.parametrize(
    "failure", [FileNotFoundError(), subprocess.TimeoutExpired("nvidia-smi", 10), subprocess.CalledProcessError(9, "x")]
)
def test_a_computer_that_cannot_name_its_gpu_still_has_a_cache(mocker: MockerFixture, failure: Exception) -> None:
    mocker.patch.object(subprocess, "run", side_effect=failure)
    assert gpu_identity() == "unknown-gpu"


def test_without_a_stated_folder_engines_go_to_the_users_cache(
    mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mocker.patch.object(subprocess, "run", side_effect=FileNotFoundError())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    folder = engine_folder(None, "0123456789abcdef0123")
    assert folder.parent == tmp_path / "fibsem-runtime" / "engines" and folder.name.startswith("0123456789abcdef-")
    assert not holds_engine(folder)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_that_the_model_lacks_is_refused_with_those_it_has(tmp_path: Path, precision: Any) -> None:
    folder = write_level_model(tmp_path / "one")
    with pytest.raises(ModelError, match=f"no {precision} file; it has fp32"):
        open_detector(folder, EngineSettings(precision=precision))


def test_maps_of_the_gpu_have_the_type_and_size_of_the_input(gpu: Opened, levels: Path) -> None:
    maps = open_detector(levels, EngineSettings(providers=("cuda",))).segment(lamella_at(10))
    assert maps.classes.dtype == maps.confidence.dtype == np.uint8 and maps.shape == (512, 768)
