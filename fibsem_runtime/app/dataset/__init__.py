"""The command ``dataset synthesize``: labelled images from a simulator and its truth."""

from fibsem_runtime.app.dataset.synthesize import SynthesizeRequest, SynthesizeResult, synthesize

__all__ = ["SynthesizeRequest", "SynthesizeResult", "synthesize"]
