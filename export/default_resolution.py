"""The resolution that pipelines take by default: that of the UNet they run."""

from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc.model_config_pb2 import ModelConfig  # type: ignore[import-untyped]

from concord.squash import LATENT_STRIDE
from concord_client.atomic_file import write_atomically

PART, SETTING = "part.unet", "setting.RESOLUTION"


def write(ensembles: Path, unet: str, latent_side: int | None) -> int | None:
    """Put a UNet's own resolution into the configurations of the pipelines whose `part.unet` it is.

    Returns:
        The resolution in pixels; None where no pipeline can take it, and nothing was written.
    """
    resolution = LATENT_STRIDE * (latent_side or 0)
    written = [path for path in sorted(ensembles.glob("*/config.pbtxt")) if put(path, unet, resolution)]
    return resolution if written else None


def put(path: Path, unet: str, resolution: int) -> bool:
    """Make it the default of one pipeline, whose comments stay; False where it runs another UNet or cannot take it."""
    text = path.read_text()
    parameters = text_format.Parse(text, ModelConfig()).parameters
    part, setting = (parameters[key].string_value for key in (PART, SETTING))
    _, _, rest = setting.partition(";")
    choices = [choice.strip() for choice in rest.partition(";")[0].split("|")]
    if part.partition(";")[0].strip() != unet or str(resolution) not in choices:
        return False
    assert text.count(f'"{setting}"') == 1
    write_atomically(path, text.replace(f'"{setting}"', f'"{resolution};{rest}"').encode())
    return True
