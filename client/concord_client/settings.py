"""A setting of a pipeline: its kind, its default and what it may be, as the pipeline's configuration declares it."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from concord_client.errors import InvalidDeclaration, InvalidInput

SettingValue: TypeAlias = bool | int | float | str
Scalar: TypeAlias = bytes | np.int32 | np.int64 | np.float32 | np.bool_
"""An input tensor of one element: a byte string, or a number of the type that the server wants."""

Value: TypeAlias = Scalar | NDArray[np.float32]
"""An input tensor: one element, or numbers [N]."""

_GRAMMAR = "DEFAULT; LOWEST..HIGHEST; WORDS or DEFAULT; ONE|ANOTHER; WORDS"
_RANGE = re.compile(r"(?P<lowest>-?[\d.]+?)\.\.(?P<highest>-?[\d.]+)")
_TYPES: Mapping[str, tuple[type[Any], type[Any]]] = {
    "TYPE_INT32": (int, np.int32),
    "TYPE_INT64": (int, np.int64),
    "TYPE_FP32": (float, np.float32),
    "TYPE_BOOL": (bool, np.bool_),
    "TYPE_STRING": (str, bytes),
}
"""Python's type and that of the tensor, by the datatype of the input."""
_BOOLS = {"false": False, "true": True}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: of its input tensor, such as ``STEPS``.
        datatype: of that tensor, such as ``TYPE_INT32``.
        default: None where the server draws or decides.
        lowest: smallest number that is allowed; None where there is no range.
        highest: largest.
        choices: the values that are allowed, where they are few; else empty.
        about: what it does, in a few words.
        closed: choices, as they are written, that this server does not allow although it could, and why.
    """

    name: str
    datatype: str
    default: SettingValue | None = None
    lowest: int | float | None = None
    highest: int | float | None = None
    choices: tuple[SettingValue, ...] = ()
    about: str = ""
    closed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, datatype: str, text: str) -> Self:
        """Reads ``DEFAULT; LOWEST..HIGHEST; WORDS`` or ``DEFAULT; ONE|ANOTHER; WORDS``; each part may be empty.

        Raises:
            InvalidDeclaration: it is written in another way, or its default is not allowed.
        """
        key = f"setting.{name}"
        if datatype not in _TYPES:
            raise InvalidDeclaration(key, f"its input is {datatype}", ", ".join(_TYPES))
        parts = [part.strip() for part in text.split(";", 2)]
        default, bounds, about = parts + [""] * (3 - len(parts))
        setting = cls(name, datatype, about=about)
        try:
            if limits := _RANGE.fullmatch(bounds):
                if setting.kind not in (int, float):
                    raise ValueError
                lowest, highest = (setting.kind(limits[end]) for end in ("lowest", "highest"))
                setting = replace(setting, lowest=lowest, highest=highest)
            elif bounds:
                setting = replace(setting, choices=tuple(setting.read(word.strip()) for word in bounds.split("|")))
            if default:
                setting = replace(setting, default=setting.check(setting.read(default)))
        except InvalidInput as error:
            raise InvalidDeclaration(key, f"its default {default!r} is not allowed", error.allowed) from None
        except ValueError:
            raise InvalidDeclaration(key, f"is {text!r}", f"{_GRAMMAR}, for {datatype}") from None
        return setting

    def written(self) -> str:
        """What `parse` reads."""
        bounds = "|".join(map(_word, self.choices)) if self.lowest is None else f"{self.lowest}..{self.highest}"
        return f"{self.written_default}; {bounds}; {self.about}"

    @property
    def written_default(self) -> str:
        """The default as `read` takes it; empty where there is none."""
        return "" if self.default is None else _word(self.default)

    @property
    def kind(self) -> type[Any]:
        """``int``, ``float``, ``bool`` or ``str``."""
        return _TYPES[self.datatype][0]

    @property
    def public_name(self) -> str:
        """What a person calls it: a flag, a form field, a keyword."""
        return self.name.lower()

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return ", ".join(map(_word, self.choices))
        number = "a whole number" if self.kind is int else "a number"
        if self.lowest is not None:
            return f"{number} from {self.lowest} to {self.highest}"
        return {bool: "true or false", str: "a text"}.get(self.kind, number)

    def read(self, text: str) -> SettingValue:
        """A value from its written form; raises `ValueError` where that is not of the setting's kind."""
        if self.kind is not bool:
            return self.kind(text)  # type: ignore[no-any-return]
        if text.lower() not in _BOOLS:
            raise ValueError(text)
        return _BOOLS[text.lower()]

    def check(self, value: object) -> SettingValue:
        """The value; raises `InvalidInput` where it is not allowed."""
        checked = self._of_kind(value)
        if (
            checked is None
            or (self.choices and checked not in self.choices)
            or (self.lowest is not None and self.highest is not None and not self.lowest <= checked <= self.highest)  # type: ignore[operator]
        ):
            shown = str(value)[:40]
            shown = shown if isinstance(value, int | float | np.number) else repr(shown)
            reason = self.closed.get(str(value))
            raise InvalidInput("invalid_setting", self.name, f"is {shown}" + f"; {reason}" * bool(reason), self.allowed)
        return checked

    def tensor(self, value: object) -> Scalar:
        """The value as the server wants it, whether or not it is in its range: that is for the server to say.

        Raises:
            InvalidInput: it is of another kind, or the tensor cannot hold it.
        """
        checked = self._of_kind(value)
        if isinstance(checked, str):
            return encode_text(checked)
        scalar = _TYPES[self.datatype][1]
        limits = np.iinfo(scalar) if self.kind is int else None
        if checked is None or (limits and not limits.min <= checked <= limits.max):
            raise InvalidInput("invalid_setting", self.name, f"is {str(value)[:40]!r}", self.allowed)
        return cast(Scalar, scalar(checked))

    def _of_kind(self, value: object) -> SettingValue | None:
        """The value as Python's own type; None where it is of another kind."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        is_bool = isinstance(value, bool | np.bool_)
        if self.kind is bool:
            return bool(value) if is_bool else None
        if self.kind is str:
            return value if isinstance(value, str) else None
        if is_bool or not isinstance(value, int | float | np.number):
            return None
        try:
            number = self.kind(value)
        except (ValueError, OverflowError):  # no whole number is NaN or infinite, and no float as large as some
            return None
        fits = number == value if self.kind is int else math.isfinite(number)
        return cast(SettingValue, number) if fits else None


@dataclass(frozen=True)
class Diffusion:
    """The settings of diffusion models by name, for editors and type checkers; any mapping of settings does as well.

    What is None is the server's to choose, and is not sent. Its catalogue says which values each of its models allows.

    Args:
        seed: of the noise; the same seed gives the same picture.
        steps: of denoising.
        sampler: how the noise is taken away.
        resolution: pixels of the side of the square that is denoised; the answer has the photograph's size anyway.
        preview: whether every step brings a small picture of what it has so far.
        decoder: ``harmony`` for the decoder that sees the photograph, ``tiny`` and ``linear`` for faster ones.
        encoder: ``tiny`` for a faster one.
        refine: whether the refinement network follows the decoder.
    """

    seed: int | None = None
    steps: int | None = None
    sampler: str | None = None
    resolution: int | None = None
    preview: bool | None = None
    decoder: str | None = None
    encoder: str | None = field(default=None, kw_only=True)
    refine: bool | None = None

    def given(self) -> dict[str, SettingValue]:
        """The settings that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def encode_numbers(name: str, numbers: object) -> NDArray[np.float32]:
    """Numbers as they are sent, in groups or not.

    Raises:
        InvalidInput: they are none; the name is that of their tensor.
    """
    try:
        with np.errstate(over="ignore"):
            values = np.asarray(numbers, np.float32)
    except (ValueError, TypeError, OverflowError):
        raise InvalidInput("invalid_points", name, f"is {str(numbers)[:40]!r}", "numbers") from None
    return np.atleast_1d(values.ravel())


def encode_text(text: str) -> bytes:
    """A text as it is sent."""
    # A command line that is not UTF-8 reaches Python as lone surrogates. They become bytes that are not UTF-8 either,
    # so the server refuses them with its own typed error.
    return text.encode("utf-8", "surrogatepass")


def _word(value: SettingValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
