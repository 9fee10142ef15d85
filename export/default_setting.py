"""Defaults of pipelines' settings that follow from the network they run."""

from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc.model_config_pb2 import ModelConfig  # type: ignore[import-untyped]

from concord_client.atomic_file import write_atomically


def write(ensembles: Path, role: str, model: str, setting: str, value: str) -> bool:
    """Make a value the default of the pipelines whose part `role` is the model.

    Returns:
        Whether there are such pipelines that can take it; without them nothing was written.
    """
    written = [path for path in sorted(ensembles.glob("*/config.pbtxt")) if put(path, role, model, setting, value)]
    return bool(written)


def write_resolution(repository: Path, role: str, model: str, resolution: str) -> bool:
    """The same of RESOLUTION, in pixels, for the pipelines in `ensembles` beside a model repository."""
    return write(repository.absolute().parent / "ensembles", role, model, "RESOLUTION", resolution)


def put(path: Path, role: str, model: str, setting: str, value: str) -> bool:
    """Make it the default of one pipeline, whose comments stay; False where it runs another model or cannot take it."""
    text = path.read_text()
    parameters = text_format.Parse(text, ModelConfig()).parameters
    part, declared = (parameters[key].string_value for key in (f"part.{role}", f"setting.{setting}"))
    _, _, rest = declared.partition(";")
    choices = [choice.strip() for choice in rest.partition(";")[0].split("|")]
    if part.partition(";")[0].strip() != model or value not in choices:
        return False
    assert text.count(f'"{declared}"') == 1
    write_atomically(path, text.replace(f'"{declared}"', f'"{value};{rest}"').encode())
    return True
