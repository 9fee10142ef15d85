"""What Concord reads in a Triton model configuration (Triton's JSON form) beside the tensors."""

from collections.abc import Mapping
from typing import Any

from concord.errors import ConcordError

UNLESS_EMPTY = "unless_empty"
"""Names an input of a network: where all of it is 0, the answer is zeros without the network. Its shapes are fixed."""


class InvalidParameter(ConcordError, code="invalid_parameter"):
    """A parameter of a model configuration has a value that cannot be used."""


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """The string parameters of a model configuration by name."""
    return {name: str(value.get("string_value", "")) for name, value in config.get("parameters", {}).items()}


def whole_parameter(config: Mapping[str, Any], name: str, default: int, lowest: int, highest: int) -> int:
    """A parameter that is a whole number; the default where it is not set.

    Raises:
        InvalidParameter: it is something else, or out of range.
    """
    text = parameters(config).get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and lowest <= int(text) <= highest):
        raise InvalidParameter(name, f"is {text[:40]!r}", f"a whole number from {lowest} to {highest}")
    return int(text)
