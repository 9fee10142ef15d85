"""Parameters and buffers of a TorchScript archive, such as those that OpenAI published; none of its code is run."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

MARK = "/constants.pkl"  # what other archives of torch do not have
_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def is_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return _root(archive) is not None


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of all modules of an archive, by the names that a state dict gives them.

    Raises:
        pickle.UnpicklingError: it holds anything but modules, tensors and plain values.
        Exception: of any other kind, where it is damaged.
    """
    with ZipFile(path) as archive:
        root = _root(archive)
        with archive.open(f"{root}/data.pkl") as stream:
            module = _Unpickler(stream, archive, f"{root}/data").load()
    return dict(_tensors(module, ""))


class _Module:
    """A module of any class: its attributes."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, archive: ZipFile, folder: str) -> None:
        super().__init__(stream)
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "__torch__":
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if module == "torch.jit._pickle":
            return _plain
        self._refuse(f"{module}.{name}")

    def persistent_load(self, reference: Any) -> Tensor:
        kind, dtype, key, _device, size = reference
        if kind != "storage":
            self._refuse(str(kind))
        # A copy: tensors may be written to, which the archive's bytes are not.
        content = bytearray(self._archive.read(f"{self._folder}/{key}"))
        return torch.frombuffer(content, dtype=dtype, count=size) if size else torch.empty(0, dtype=dtype)

    def _refuse(self, what: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{what} is no module, tensor or plain value")


def _tensor(storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_other: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _plain(value: Any, *_type: Any) -> Any:
    return value


def _tensors(module: Any, prefix: str) -> list[tuple[str, Tensor]]:
    found = []
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            found.append((f"{prefix}{name}", value))
        elif isinstance(value, _Module):
            found += _tensors(value, f"{prefix}{name}.")
    return found


def _root(archive: ZipFile) -> str | None:
    """The one folder that all of an archive's files lie in."""
    return next((name.removesuffix(MARK) for name in archive.namelist() if name.endswith(MARK)), None)
