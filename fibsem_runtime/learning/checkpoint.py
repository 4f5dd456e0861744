"""Read the peer's checkpoints without running what is in them: which network, how many classes, which scaling.

Formats: interop.md section 8. The file decides, never its name; only where a file says nothing of its scaling does the
name of a published checkpoint.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.learning.unet import ARCHITECTURES, Architecture, UNet

Scaling: TypeAlias = Literal["unit", "raw"]
"""``unit``: the network takes gray levels over 255; ``raw``: gray levels as they are."""

State: TypeAlias = Mapping[str, Tensor]

_MAX_BYTES: Final = 2 * 2**30
"""A U-Net on the largest of the encoders has 0.3 GB of weights."""

_UNSCALED: Final = frozenset(
    [f"autolamella-{number:02d}-34" for number in (2, 3, 4, 5)]
    + ["autolamella-latest", "openfibsem-01-18", "openfibsem-02-18", "openfibsem-03-18"]
    + ["openfibsem-baseline-34", "openfibsem-baseline-latest", "autoliftout-serial-01-34"]
)
"""Published checkpoints that were trained on gray levels as they are (interop.md section 8; the peer's own list joins
the two baseline names by mistake)."""

_UNIT_LEVEL: Final = (0.02, 1.2)
_RAW_LEVEL: Final = 5.0
"""Mean input that the first normalisation remembers: gray over 255 is below 1, a mean gray level of 5 is a black image.
Between them, and at zero (never trained), it proves nothing."""

_STEM: Final = "encoder.conv1.weight"
_STEM_NORM: Final = "encoder.bn1.running_mean"
_HEAD: Final = "segmentation_head.0.weight"

_UNREADABLE: Final = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
)
"""What `torch.load` raises on damaged files and on those that would run code."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Checkpoint:
    """A checked U-Net in evaluation mode; ``scaling_evidence`` says how its scaling is known."""

    network: UNet
    encoder: str
    class_count: int
    scaling: Scaling
    scaling_evidence: str
    is_legacy: bool


def read_checkpoint(path: Path, *, scaling: Scaling | None = None) -> Checkpoint:
    """Read ``{"checkpoint", "encoder", "nc"}`` or a bare state dict; a stated ``scaling`` overrides the evidence.

    Raises `ModelError` for a file that is absent, damaged, would run code, or holds no U-Net on a ResNet.
    """
    content = load_safely(path)
    is_legacy = "checkpoint" not in content
    state = _checked_state(path, content if is_legacy else content["checkpoint"])
    encoder, class_count = _network_of(path, state)
    if not is_legacy and (content.get("encoder"), content.get("nc")) != (encoder, class_count):
        raise ModelError(
            f"{path} says it is {content.get('encoder')!r} with {content.get('nc')!r} classes, its weights are "
            f"{encoder!r} with {class_count}; the file was put together wrongly, get the original"
        )
    found, evidence = _scaling_of(path, state, stated=scaling, is_legacy=is_legacy)
    network = UNet(encoder, class_count)
    _fill(path, network, state)
    return Checkpoint(
        network=network.eval(),
        encoder=encoder,
        class_count=class_count,
        scaling=found,
        scaling_evidence=evidence,
        is_legacy=is_legacy,
    )


def load_safely(path: Path) -> dict[str, Any]:
    """Unpickle tensors and plain values only; anything that would run code is refused before it runs."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{path} has more than {_MAX_BYTES / 2**30:.0f} GiB and cannot be a checkpoint")
        with warnings.catch_warnings():
            # A foreign pickle protocol is worth a warning to PyTorch and a refusal to us.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"the checkpoint {path} cannot be read ({error.strerror or error})") from error
    except _UNREADABLE as error:
        raise ModelError(
            f"{path} holds more than tensors or is damaged ({_first_sentence(error)}); nothing of it was run, "
            "get the checkpoint from its authors again"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ModelError(f"{path} holds a {type(content).__name__}, a checkpoint is a dictionary of weights")
    return content


def _checked_state(path: Path, state: object) -> State:
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no state dict of tensors; only networks of the peer can be imported")
    bad = [key for key, value in state.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
    if bad:
        raise ModelError(f"{path}: the weights {bad[0]} are not all numbers; its training failed, take an earlier one")
    return state


def _network_of(path: Path, state: State) -> tuple[str, int]:
    """Return encoder and class count as the shapes of the weights show them."""
    blocks = [_block_count(state, number) for number in range(1, 5)]
    shown = Architecture(
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        is_bottleneck="encoder.layer1.0.conv3.weight" in state,
    )
    encoder = next((name for name, architecture in ARCHITECTURES.items() if architecture == shown), None)
    if encoder is None or _HEAD not in state or state[_HEAD].dim() != 4:
        raise ModelError(
            f"{path} is no U-Net on a ResNet (first entry {next(iter(state), 'none')!r}); checkpoints of AutoLamella "
            f"on {', '.join(ARCHITECTURES)} can be imported"
        )
    return encoder, state[_HEAD].shape[0]


def _block_count(state: State, layer: int) -> int:
    prefix = f"encoder.layer{layer}."
    return len({key.split(".")[2] for key in state if key.startswith(prefix)})


def _fill(path: Path, network: UNet, state: State) -> None:
    own = network.state_dict()
    odd = sorted(own.keys() ^ state.keys()) or [key for key, value in own.items() if value.shape != state[key].shape]
    if odd:
        raise ModelError(f"{path}: {odd[0]} does not fit a U-Net with the default decoder; it cannot be imported")
    network.load_state_dict(dict(state))


def _scaling_of(path: Path, state: State, *, stated: Scaling | None, is_legacy: bool) -> tuple[Scaling, str]:
    if stated is not None:
        return stated, "stated by the person who imported it"
    level = _remembered_level(state)
    if level is not None and level >= _RAW_LEVEL:
        return "raw", f"the first normalisation remembers a mean input of {level:.0f} gray levels"
    if level is not None and _UNIT_LEVEL[0] <= level <= _UNIT_LEVEL[1]:
        return "unit", f"the first normalisation remembers a mean input of {level:.2f}"
    if not is_legacy:
        return "unit", "checkpoints of this form take gray levels over 255; its normalisation says nothing"
    if path.stem in _UNSCALED:
        return "raw", "the published checkpoint of this name takes gray levels as they are"
    raise ModelError(
        f"{path} does not show whether its network takes gray levels or gray levels over 255; say --scaling raw or unit"
    )


def _remembered_level(state: State) -> float | None:
    """Return the mean input of the training as the first layer's statistics show it.

    Before the first normalisation a filter's mean output is the mean input times the sum of its weights; the input is
    the slope of the remembered means over these sums (least squares).
    """
    if _STEM not in state or _STEM_NORM not in state:
        return None
    sums = state[_STEM].double().sum((1, 2, 3))
    means = state[_STEM_NORM].double()
    if sums.shape != means.shape or float(sums.square().sum()) == 0.0:
        return None
    return float((sums * means).sum() / sums.square().sum())


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
