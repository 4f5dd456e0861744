"""The commands of ``fibsem-runtime model``; they import late, as all commands do (docs/decisions/0001)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fibsem_runtime.cli.options import (
    ConfigOption,
    ImagesOption,
    InputScaling,
    JsonOption,
    ModelArgument,
    ProviderName,
)
from fibsem_runtime.cli.terminal import bar

if TYPE_CHECKING:
    from fibsem_runtime.app.model_making import ImportOptions
    from fibsem_runtime.app.models import ModelInfo

model_app = typer.Typer(help="Look at, import, speed up and time models.", no_args_is_help=True)


@model_app.command("list")
def model_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the installed models and whether they are whole."""
    from fibsem_runtime.app.model_tables import models_table
    from fibsem_runtime.app.models import list_installed
    from fibsem_runtime.config import load_config

    result = list_installed(load_config(config))
    print(result.model_dump_json(indent=2) if as_json else models_table(result))


@model_app.command("info")
def model_info(name: ModelArgument = "default", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell all that is known about a model: origin, files, proof, measured speed and error."""
    from fibsem_runtime.app.models import describe
    from fibsem_runtime.config import load_config, with_model

    _show_model(describe(with_model(load_config(config), name)), as_json=as_json)


@model_app.command("bench")
def model_bench(
    name: ModelArgument = "default",
    image: Annotated[Path | None, typer.Option(help="TIFF file; a drawn frame of 1536x1024 when left out.")] = None,
    provider: Annotated[ProviderName | None, typer.Option(help="The configured ones when left out.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or int8; what suits the provider else.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="Timed detections.")] = 30,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time a detection stage by stage, all features of the model at once."""
    from fibsem_runtime.app.model_bench import bench
    from fibsem_runtime.app.model_tables import bench_table
    from fibsem_runtime.config import load_config, with_engine, with_model

    chosen = with_engine(with_model(load_config(config), name), provider=provider, precision=precision)
    result = bench(chosen, file=image, run_count=runs)
    print(result.model_dump_json(indent=2) if as_json else bench_table(result))


@model_app.command("import")
def model_import(
    source: Annotated[Path, typer.Argument(help="Checkpoint (.pt), ONNX graph, or folder of a Hugging Face model.")],
    name: Annotated[str | None, typer.Option(help="Name to give; that of the file when left out.")] = None,
    images: ImagesOption = None,
    size: Annotated[str | None, typer.Option(help="Input of the network, WIDTHxHEIGHT in multiples of 32.")] = None,
    scaling: Annotated[InputScaling | None, typer.Option(help="Only where the file does not show it.")] = None,
    classes: Annotated[str, typer.Option(help="Names with commas between, where they are not the usual ones.")] = "",
    licence: Annotated[str | None, typer.Option(help="Licence to record.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a foreign model and prove on images that its masks stay the same; nothing in it is run."""
    _require_learning()
    from fibsem_runtime.app.model_making import import_file
    from fibsem_runtime.config import load_config

    options = _import_options(name, size, scaling, classes, licence, images)
    with bar() as show:
        info = import_file(load_config(config), source, options, watch=show)
    _show_model(info, as_json=as_json)


@model_app.command("pull")
def model_pull(
    published: Annotated[str, typer.Argument(metavar="NAME", help="Name of a published model.")],
    name: Annotated[str | None, typer.Option(help="Name to give; the published one when left out.")] = None,
    images: ImagesOption = None,
    size: Annotated[str | None, typer.Option(help="Input of the network, WIDTHxHEIGHT in multiples of 32.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a published model where there is a network, and import it."""
    _require_learning()
    from fibsem_runtime.app.model_pull import pull
    from fibsem_runtime.config import load_config

    options = _import_options(name, size, None, "", None, images)
    with bar() as show:
        info = pull(load_config(config), published, options, watch=show)
    _show_model(info, as_json=as_json)


@model_app.command("optimise")
def model_optimise(
    name: ModelArgument = "default",
    images: ImagesOption = None,
    threshold: Annotated[float | None, typer.Option(min=0.5, max=1, help="Share of pixels that must agree.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Clean up the graph, make int8 and fp16, keep each whose masks agree, and record the speed-up."""
    _require_learning()
    from fibsem_runtime.app.model_making import optimise
    from fibsem_runtime.config import load_config, with_model

    with bar() as show:
        info = optimise(with_model(load_config(config), name), images or [], threshold_fraction=threshold, watch=show)
    _show_model(info, as_json=as_json)


def _require_learning() -> None:
    from fibsem_runtime.app.extras import require_extra

    require_extra("learn", "torch", "onnx", "safetensors")


def _import_options(
    name: str | None,
    size: str | None,
    scaling: InputScaling | None,
    classes: str,
    licence: str | None,
    images: list[Path] | None,
) -> ImportOptions:
    from fibsem_runtime.app.model_making import ImportOptions

    stated = scaling.value if scaling else None
    return ImportOptions(name=name, size=size, scaling=stated, classes=classes, licence=licence, images=images or [])


def _show_model(info: ModelInfo, *, as_json: bool) -> None:
    from fibsem_runtime.app.model_tables import info_table

    print(info.model_dump_json(indent=2) if as_json else info_table(info))
