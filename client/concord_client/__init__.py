"""Client for Concord: text-guided image harmonization."""

from concord_client.aio import AsyncClient
from concord_client.cancellation import Cancellation
from concord_client.catalogue import Catalogue, Part, Pipeline
from concord_client.client import Client
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
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.request import Answer, Request
from concord_client.tasks.segment import Segment, Segmented

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
    "Harmonize",
    "Harmonized",
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
    "ServerError",
    "Setting",
    "Tensor",
    "Unavailable",
    "Unreachable",
]
