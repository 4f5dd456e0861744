"""PyTorch on one thread: on a busy computer several wait for each other at every small operation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from fibsem_runtime.learning import unet


@pytest.fixture
def slim_unet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give U-Nets an eighth of their channels, so that converting one takes a moment."""
    monkeypatch.setattr(unet, "_WIDTHS", (8, 8, 16, 16))
    monkeypatch.setattr(unet, "_DECODER_WIDTHS", (16, 8, 8, 8, 8))


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Leave the number of threads as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
