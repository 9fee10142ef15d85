"""Client for Concord: text-guided image harmonization."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concord_client.aio import AsyncClient
    from concord_client.cancellation import Cancellation
    from concord_client.catalogue import Catalogue, Part, Pipeline
    from concord_client.client import Client
    from concord_client.composition import at_strength, layer_of
    from concord_client.errors import (
        Cancelled,
        ConcordClientError,
        DeadlineExceeded,
        InvalidDeclaration,
        InvalidInput,
        Lost,
        ModelNotFound,
        ServerError,
        Unavailable,
        Unreachable,
    )
    from concord_client.repository import Model, Tensor
    from concord_client.retry import Retry
    from concord_client.settings import Diffusion, Setting
    from concord_client.steps import Progress
    from concord_client.tasks import TASKS
    from concord_client.tasks.edit import Edit, Edited
    from concord_client.tasks.generate import Generate, Generated
    from concord_client.tasks.harmonize import Harmonize, Harmonized
    from concord_client.tasks.inpaint import Inpaint, Inpainted
    from concord_client.tasks.request import Answer, Request
    from concord_client.tasks.segment import Segment, Segmented
    from concord_client.tasks.select import Select, Selected
    from concord_client.tasks.upscale import Upscale, Upscaled

__all__ = [
    "TASKS",
    "Answer",
    "AsyncClient",
    "Cancellation",
    "Cancelled",
    "Catalogue",
    "Client",
    "ConcordClientError",
    "DeadlineExceeded",
    "Diffusion",
    "Edit",
    "Edited",
    "Generate",
    "Generated",
    "Harmonize",
    "Harmonized",
    "Inpaint",
    "Inpainted",
    "InvalidDeclaration",
    "InvalidInput",
    "Lost",
    "Model",
    "ModelNotFound",
    "Part",
    "Pipeline",
    "Progress",
    "Request",
    "Retry",
    "Segment",
    "Segmented",
    "Select",
    "Selected",
    "ServerError",
    "Setting",
    "Tensor",
    "Unavailable",
    "Unreachable",
    "Upscale",
    "Upscaled",
    "at_strength",
    "layer_of",
]

_MODULES = (
    "errors",
    "cancellation",
    "retry",
    "repository",
    "settings",
    "steps",
    "catalogue",
    "composition",
    "tasks",
    "tasks.request",
    "tasks.edit",
    "tasks.generate",
    "tasks.harmonize",
    "tasks.inpaint",
    "tasks.segment",
    "tasks.select",
    "tasks.upscale",
    "aio",
    "client",
)


def __getattr__(name: str) -> Any:
    # Only when it is asked for: each process of a server's models needs the errors, and waits for what they import.
    for module in _MODULES if name in __all__ else ():
        if (found := getattr(import_module(f"{__name__}.{module}"), name, None)) is not None:
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
