"""Triton's configuration of the UNet that takes text states, written after that of the one that does not."""

from pathlib import Path

from export.publication import REPOSITORY

SOURCE, TARGET = "unet", "unet_prompted"
AFTER, INPUT = "COMPOSITE_LATENT", "TEXT_STATES"


def write(repository: Path, tokens: int, width: int) -> None:
    """Write `config.pbtxt` and the profiles of `unet_prompted`, where the repository has none.

    Args:
        tokens, width: of the text states.
    """
    target = repository / TARGET
    source = repository / SOURCE if (repository / SOURCE / "config.pbtxt").is_file() else REPOSITORY / SOURCE
    if (target / "config.pbtxt").exists():
        return
    for path in (*source.glob("configs/*.pbtxt"), source / "config.pbtxt"):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(prompted(path.read_text(), tokens, width))


def prompted(config: str, tokens: int, width: int) -> str:
    """The text of `unet`'s configuration with the other name, and with the text states among inputs and warmup."""
    kind = f"data_type: TYPE_FP32 dims: [ {tokens}, {width} ]"
    lines = []
    for line in config.replace(f'name: "{SOURCE}"', f'name: "{TARGET}"', 1).splitlines():
        lines.append(line)
        if f'key: "{AFTER}"' in line:
            lines.append(f'    inputs {{ key: "{INPUT}" value {{ {kind} zero_data: true }} }}')
        elif f'name: "{AFTER}"' in line:
            lines[-1] = line.rstrip(",") + ","
            lines.append(f'  {{ name: "{INPUT}" {kind} }}' + "," * line.endswith(","))
    return "\n".join(lines) + "\n"
