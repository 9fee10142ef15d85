"""What a request wants of a harmonized picture: how much of the change, and in which form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from concord.arrays import Pixels
from concord.errors import InvalidSetting
from concord.png import encode_png
from concord_client.composition import LAYER, OUTPUT, STRENGTH, layer_of
from concord_client.errors import InvalidInput
from concord_client.settings import Setting


@dataclass(frozen=True)
class Finish:
    """The settings `STRENGTH` and `OUTPUT` of a request.

    Attributes:
        strength: factor of the change, before it is rounded and clipped.
        is_layer: whether only what changed is answered.
    """

    strength: float = 1.0
    is_layer: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Reads them from a request's tensors or settings; those that are missing have their defaults.

        Raises:
            InvalidSetting: one of them is not allowed.
        """
        return cls(float(_value(STRENGTH, given)), _value(OUTPUT, given) == LAYER)

    def encoded(self, before: Pixels, after: Pixels, icc_profile: bytes) -> bytes:
        """The answer as PNG, from the photograph and the harmonized one, uint8 [H, W, 3 or 4].

        Raises:
            InvalidSetting: a layer is asked for, and something changed where the photograph is transparent.
        """
        if not self.is_layer:
            return encode_png(after, icc_profile)
        try:
            return encode_png(layer_of(before, after), icc_profile)
        except InvalidInput as error:
            raise InvalidSetting(error.field, error.problem, error.allowed) from None


def _value(setting: Setting, given: Mapping[str, Any]) -> Any:
    if setting.name not in given:
        return setting.default
    value = given[setting.name]
    try:
        return setting.check(value.item() if isinstance(value, np.ndarray) else value)
    except InvalidInput as error:
        raise InvalidSetting(error.field, error.problem, error.allowed) from None
