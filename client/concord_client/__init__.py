"""Client for Concord: text-guided image harmonization."""

from concord_client.aio import AsyncClient
from concord_client.cancellation import Cancellation
from concord_client.client import Client
from concord_client.diffusion import Diffusion, Progress
from concord_client.errors import (
    Cancelled,
    ConcordClientError,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    ServerError,
    Unavailable,
    Unreachable,
)
from concord_client.pipelines import Harmonized, Segmented
from concord_client.repository import Model, Tensor
from concord_client.retry import Retry

__all__ = [
    "AsyncClient",
    "Cancellation",
    "Cancelled",
    "Client",
    "ConcordClientError",
    "DeadlineExceeded",
    "Diffusion",
    "Harmonized",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "Progress",
    "Retry",
    "Segmented",
    "ServerError",
    "Tensor",
    "Unavailable",
    "Unreachable",
]
