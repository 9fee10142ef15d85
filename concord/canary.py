"""The mark of a request that asks a model only whether its process lives; models answer it without computing."""

import json

PARAMETER = "canary"


def is_canary(parameters: str) -> bool:
    """Whether the parameters of a request, as Triton's JSON, carry the mark."""
    return PARAMETER in parameters and PARAMETER in json.loads(parameters)
