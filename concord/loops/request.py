"""One request to a loop, as its pipeline declares it, checked before anything is computed."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from concord.errors import InvalidSetting
from concord_client.catalogue import SEED, TIMEOUT, Part, Pipeline
from concord_client.errors import InvalidInput
from concord_client.settings import Setting, SettingValue

MAX_TIMEOUT = 86_400


@dataclass(frozen=True)
class LoopRequest:
    """One request, complete and within its ranges.

    Attributes:
        inputs: what was given beside the settings, by tensor name; a STRING is ``bytes``.
        settings: every setting by its input's name, given or default; None where it is open and has no default.
        models: the models that the request needs, by their role.
        timeout: seconds it may take, from its arrival.
    """

    inputs: Mapping[str, Any]
    settings: Mapping[str, Any]
    models: Mapping[str, str]
    timeout: float

    @classmethod
    def read(cls, pipeline: Pipeline, given: Mapping[str, Any]) -> Self:
        """Reads a request's inputs by tensor name: ``bytes`` for a STRING, Python numbers or bools for the others.

        Raises:
            InvalidSetting: names the input, its value and what is allowed.
        """
        if missing := sorted(pipeline.required - given.keys()):
            raise InvalidSetting(missing[0], "is missing", f"a request with {', '.join(sorted(pipeline.required))}")
        settings = {name: _value(setting, given) for name, setting in pipeline.settings.items()}
        needed = (part for part in pipeline.parts.values() if _is_needed(part, given, settings))
        return cls(
            inputs={name: value for name, value in given.items() if name in pipeline.inputs},
            settings=settings,
            models={part.role: part.model for part in needed},
            timeout=_seconds(given.get(TIMEOUT, pipeline.deadline)),
        )


def _is_needed(part: Part, given: Mapping[str, Any], settings: Mapping[str, SettingValue | None]) -> bool:
    if part.value:
        return str(settings.get(part.input)).lower() == part.value.lower()
    return not part.input or part.input in given


def _value(setting: Setting, given: Mapping[str, Any]) -> SettingValue | None:
    if setting.name in given:
        value = given[setting.name]
        try:
            return setting.check(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
        except InvalidInput as error:
            raise InvalidSetting(error.field, error.problem, error.allowed) from None
    if setting.name == SEED and setting.highest is not None:
        return secrets.randbelow(int(setting.highest) + 1)
    return setting.default


def _seconds(value: float) -> float:
    if not (math.isfinite(value) and 0 < value <= MAX_TIMEOUT):
        raise InvalidSetting(TIMEOUT, f"is {value:g}", f"seconds, more than 0 and at most {MAX_TIMEOUT}")
    return value
