"""What Triton does for its owner alone: it shows and loads models for who knows the key."""

import json
import secrets

from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord_client.catalogue import RELOADS

_KEY = "concord-admin"
_ANSWER_SECONDS = 5.0


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

    def reload(self, grpc_url: str, model: str, seconds: float) -> None:
        """Has a model loaded again, in new processes; the parameter `RELOADS` of its configuration counts it.

        Raises:
            InferenceServerException: it could not be loaded, or not within the time.
        """
        # A channel of its own: a shared one would remember that it was refused.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with InferenceServerClient(grpc_url, channel_args=options) as client:
            config = client.get_model_config(model, as_json=True, client_timeout=_ANSWER_SECONDS)["config"]
            parameters = config.setdefault("parameters", {})
            reloads = int(parameters.get(RELOADS, {}).get("string_value", 0)) + 1
            # Triton loads a model again only where its configuration has changed.
            parameters[RELOADS] = {"string_value": str(reloads)}
            headers = {f"triton-grpc-protocol-{_KEY}": self._secret}
            client.load_model(model, headers, config=json.dumps(config), client_timeout=seconds)
