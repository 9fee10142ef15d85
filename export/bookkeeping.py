"""What a trainer keeps beside the weights in its checkpoints: read as objects that do nothing, and thrown away.

Checkpoints of PyTorch Lightning hold the classes of callbacks and the experiment's configuration. Nothing of what they
name is imported or run.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("pytorch_lightning", "lightning", "lightning_fabric", "omegaconf", "numpy", "_codecs")
NAMES = ("typing.Any", "builtins.dict", "builtins.list", "argparse.Namespace")
DICTIONARY = "collections.defaultdict"


class Inert:
    """Stands for anything that is no tensor."""

    def __init__(self, *_arguments: Any, **_named: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...


def dictionary(*_arguments: Any) -> dict[Any, Any]:
    """One that is filled later."""
    return {}


@contextmanager
def left_out(path: Path) -> Iterator[None]:
    """Within, `torch.load` of a file with weights only takes what trainers keep besides."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError, OSError, EOFError, pickle.UnpicklingError):
        found = []  # not of the form that such trainers write
    kept: list[Any] = [(Inert, name) for name in found if name in NAMES or name.partition(".")[0] in PACKAGES]
    with torch.serialization.safe_globals([*kept, (dictionary, DICTIONARY)]):
        yield
