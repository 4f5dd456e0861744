"""Providers: the one asked for is the one obtained, or it is an error that says what to install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from pytest_mock import MockerFixture
from tiny_models import write_level_model

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.detection import EngineSettings, open_detector
from fibsem_runtime.detection.providers import ProviderRequest, candidates, obtained, session_arguments

ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_level_model(tmp_path / "levels")
    return tmp_path


def build_knows(mocker: MockerFixture, names: list[str]) -> None:
    mocker.patch.object(onnxruntime, "get_available_providers", return_value=names)


def test_the_cpu_is_obtained_when_it_is_asked_for(models: Path) -> None:
    assert open_detector(models / "levels", EngineSettings()).provider == "cpu"


@pytest.mark.parametrize(("provider", "needed"), [("cuda", "cuDNN"), ("tensorrt", "libnvinfer")])
def test_a_missing_accelerator_is_an_error_that_says_what_to_install(
    models: Path, mocker: MockerFixture, provider: Any, needed: str
) -> None:
    build_knows(mocker, ["CPUExecutionProvider"])
    wanted = EngineSettings(providers=(provider, "cpu"))
    with pytest.raises(ConfigError, match=f"{provider}.*gives cpu.*{needed}.*allow_fallback"):
        open_detector(models / "levels", wanted)


def test_falling_back_is_done_only_when_allowed_and_is_reported(models: Path, mocker: MockerFixture) -> None:
    build_knows(mocker, ["CPUExecutionProvider"])
    allowed = EngineSettings(providers=("tensorrt", "cuda", "cpu"), allow_fallback=True)
    assert open_detector(models / "levels", allowed).provider == "cpu"


def test_a_provider_that_the_build_knows_but_cannot_load_is_no_silent_fallback(
    models: Path, mocker: MockerFixture
) -> None:
    build_knows(mocker, ALL)
    real = onnxruntime.InferenceSession
    opened: list[Any] = []

    def without_libraries(path: str, options: Any, *, providers: Any, enable_fallback: int) -> Any:
        opened.append((providers, enable_fallback))
        return real(path, options, providers=[("CPUExecutionProvider", {})])

    mocker.patch.object(onnxruntime, "InferenceSession", side_effect=without_libraries)
    with pytest.raises(ConfigError, match="should run on cuda"):
        open_detector(models / "levels", EngineSettings(providers=("cuda", "cpu")))
    allowed = EngineSettings(providers=("cuda", "cpu"), allow_fallback=True)
    assert open_detector(models / "levels", allowed).provider == "cpu"
    assert all(enable_fallback == 0 for _, enable_fallback in opened)
    assert [providers[0][0] for providers, _ in opened] == [ALL[1], ALL[1], ALL[2]]


def test_the_wanted_order_is_kept(mocker: MockerFixture) -> None:
    build_knows(mocker, ALL)
    assert candidates(ProviderRequest(wanted=("cuda", "tensorrt", "cpu"), allow_fallback=False)) == [
        "cuda",
        "tensorrt",
        "cpu",
    ]
    build_knows(mocker, ALL[1:])
    request = ProviderRequest(wanted=("tensorrt", "cuda", "cpu"), allow_fallback=True)
    assert candidates(request) == ["cuda", "cpu"]


def test_asking_twice_for_one_provider_or_for_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="each named once"):
        ProviderRequest(wanted=("cpu", "cpu"), allow_fallback=False)
    with pytest.raises(ConfigError, match="at least one"):
        ProviderRequest(wanted=(), allow_fallback=False)


def test_the_cpu_stands_behind_every_accelerator_for_what_it_cannot_run() -> None:
    assert [name for name, _ in session_arguments("cuda", None)] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert [name for name, _ in session_arguments("cpu", None)] == ["CPUExecutionProvider"]
    assert obtained(ALL) == "tensorrt"
