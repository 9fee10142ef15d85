"""What Triton does for its owner alone: it shows and loads models for who knows the key."""

import secrets
import time

from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

_KEY = "concord-admin"
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.05
# A channel of its own for each client: a shared one would remember that it was refused, and wait longer and longer.
_CHANNEL = [("grpc.use_local_subchannel_pool", 1)]


class Administration:
    """The key of one server, which nobody else is told."""

    def __init__(self) -> None:
        self._secret = secrets.token_hex(16)

    def options(self) -> list[str]:
        """Options that keep from others the loading of models, shared memory, tracing and log settings.

        They also keep Triton from answering other clouds' protocols, which it would do as its environment says.
        """
        restricted = f"model-repository,shared-memory,trace,logging:{_KEY}={self._secret}"
        return [
            f"--http-restricted-api={restricted}",
            f"--grpc-restricted-protocol={restricted}",
            "--allow-sagemaker=false",
            "--allow-vertex-ai=false",
        ]

    def is_ready(self, grpc_url: str) -> bool:
        """Whether the server calls itself ready; raises InferenceServerException if it does not answer."""
        with InferenceServerClient(grpc_url, channel_args=_CHANNEL) as client:
            return bool(client.is_server_ready(client_timeout=_ANSWER_SECONDS))

    def load(self, grpc_url: str, model: str, seconds: float) -> None:
        """Has a model loaded, in new processes if its folder has changed; those of before answer until then.

        Raises:
            InferenceServerException: it could not be loaded, or not within the time.
        """
        with InferenceServerClient(grpc_url, channel_args=_CHANNEL) as client:
            client.load_model(model, self._headers, client_timeout=seconds)

    def unload(self, grpc_url: str, model: str, seconds: float) -> None:
        """Has a model unloaded; returns when it has answered what it was asked before, or when the time is over.

        Raises:
            InferenceServerException: the server does not answer.
        """
        end = time.monotonic() + seconds
        with InferenceServerClient(grpc_url, channel_args=_CHANNEL) as client:
            client.unload_model(model, self._headers, client_timeout=seconds)
            while time.monotonic() < end:
                index = client.get_model_repository_index(self._headers, client_timeout=_ANSWER_SECONDS).models
                if not any(each.name == model and each.state == "UNLOADING" for each in index):
                    return
                time.sleep(_POLL_SECONDS)

    @property
    def _headers(self) -> dict[str, str]:
        return {f"triton-grpc-protocol-{_KEY}": self._secret}
