"""Answers of the ``model`` commands as text for people."""

from __future__ import annotations

from fibsem_runtime.app.model_bench import BenchResult
from fibsem_runtime.app.models import ModelInfo, ModelsResult
from fibsem_runtime.app.text_table import text_table


def models_table(result: ModelsResult) -> str:
    """Return one row a model, the configured one marked."""
    rows = [
        (
            "*" if line.name == result.configured else "",
            line.name,
            line.version,
            ", ".join(line.precisions),
            f"{line.size_mb:.1f}",
            line.problem or line.description,
        )
        for line in result.models
    ]
    return text_table(("", "model", "version", "files", "MB", "what"), rows, title=f"{result.folder} (* configured)")


def info_table(info: ModelInfo) -> str:
    """Return what a manifest says, one fact a line."""
    manifest, spec = info.manifest, info.manifest.input
    facts = [
        ("what", manifest.description),
        ("files", ", ".join(f"{p} {e.file} {e.sha256[:12]}" for p, e in manifest.files.items())),
        ("size", f"{info.size_mb:.1f} MB in {info.folder}"),
        ("opened", ", ".join(f"{provider}: {precision}" for provider, precision in info.precision_for.items())),
        ("input", f"{spec.width_px}x{spec.height_px}, {spec.contrast}"),
        ("classes", ", ".join(manifest.classes)),
        ("features", ", ".join(manifest.features)),
        ("licence", manifest.licence),
        *_origin_facts(info),
        *_variant_facts(info),
    ]
    if info.problem:
        facts.append(("PROBLEM", info.problem))
    return text_table(("", ""), facts, title=f"{manifest.name} {manifest.version}")


def _origin_facts(info: ModelInfo) -> list[tuple[str, str]]:
    origin = info.manifest.origin
    if origin is None:
        return []
    parity = origin.parity
    return [
        ("imported", f"{origin.format} {origin.file} ({origin.sha256[:12]}), {origin.network}"),
        ("scaling", origin.scaling),
        (
            "parity",
            f"{parity.pixel_agreement_fraction:.4%} of pixels (worst image {parity.worst_image_fraction:.4%}), "
            f"logits within {parity.largest_logit_difference_score:.2g}, on {', '.join(parity.images)}",
        ),
    ]


def _variant_facts(info: ModelInfo) -> list[tuple[str, str]]:
    return [
        (
            v.precision,
            f"{'kept' if v.is_kept else 'left out'}: {v.reason}; {v.agreement_fraction:.3%} of pixels agree, "
            f"{v.threshold_fraction:.1%} needed"
            + (f"; {v.speed_up_ratio:.2f} times as fast ({v.processor})" if v.speed_up_ratio else ""),
        )
        for v in info.manifest.variants
    ]


def bench_table(result: BenchResult) -> str:
    """Return the stages of one detection."""
    rows = [(name, f"{value:.2f}") for name, value in result.stages_ms.items()]
    rows += [("median", f"{result.p50_ms:.1f}"), ("95 of 100", f"{result.p95_ms:.1f}")]
    title = f"{result.model} {result.precision} on {result.provider}, {result.input}, {result.runs} runs"
    return f"{text_table(('stage', 'ms'), rows, title=title)}\n{result.rss_mb:.0f} MB resident"
