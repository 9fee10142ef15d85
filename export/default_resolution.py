"""The resolution that the diffusion pipelines take by default: that of the UNet they run."""

import os
import re
from pathlib import Path

from concord.loops.request import RESOLUTIONS
from concord.squash import LATENT_STRIDE

_PARAMETER = re.compile(r'(key: "default_resolution" value \{ string_value: ")\d+(")')


def write(ensembles: Path, latent_side: int | None) -> int | None:
    """Put a UNet's own resolution into the configurations of the pipelines that have the parameter.

    Args:
        ensembles: the repository of the pipelines; it need not be there.
        latent_side: ``sample_size`` of the UNet's configuration, which may leave it out.

    Returns:
        The resolution in pixels; None where no pipeline can take it, and nothing was written.
    """
    resolution = LATENT_STRIDE * (latent_side or 0)
    paths = [path for path in ensembles.glob("*/config.pbtxt") if _PARAMETER.search(path.read_text())]
    if resolution not in RESOLUTIONS or not paths:
        return None
    for path in paths:
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(_PARAMETER.sub(rf"\g<1>{resolution}\g<2>", path.read_text()))
        temporary.replace(path)
    return resolution
