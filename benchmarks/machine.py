"""What numbers are of: the machine, and the versions of the packages."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from concord import processor
from concord.instruments.timing import machine

PACKAGES = ("onnxruntime", "openvino", "torch", "diffusers", "litserve", "fastapi", "nvidia-pytriton")


def named_machine() -> dict[str, Any]:
    """The machine, the kind of its processor, and the versions of the packages."""
    memory = round(psutil.virtual_memory().total / (1 << 30))
    return machine() | {"kind": processor.here()[-1], "memory_gib": memory, "versions": versions()}


def versions() -> dict[str, str]:
    """Of the packages that are installed: on a GPU, some are not needed, or have another name."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
