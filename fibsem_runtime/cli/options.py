"""Options that several commands share, and the choices that some take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; the shipped one when left out.", dir_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


ModelArgument = Annotated[str, typer.Argument(help="Name of a model; default is the configured one.")]
ImagesOption = Annotated[
    list[Path] | None, typer.Option("--images", help="Image file or folder of images; repeatable.")
]


class Supervise(StrEnum):
    """When a person is asked."""

    never = "never"
    uncertain = "uncertain"
    always = "always"


class InputScaling(StrEnum):
    """What an imported network takes: gray levels over 255, or as they are."""

    unit = "unit"
    raw = "raw"


class ProviderName(StrEnum):
    """What a model runs on."""

    tensorrt = "tensorrt"
    cuda = "cuda"
    cpu = "cpu"
