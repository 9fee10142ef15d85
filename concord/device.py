"""The devices of this machine on which a network can run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup  # type: ignore[import-untyped]

from concord.errors import InvalidSetting

_GPUS = Path("/proc/driver/nvidia/gpus")  # NVIDIA's driver has a folder there for each
_SHOWN = 40


@dataclass(frozen=True)
class Device:
    """A GPU by its number, from 0; None is the processor."""

    gpu: int | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """``cpu``, or ``gpu:N``; raises InvalidSetting, with what there is, if this machine does not have it."""
        count = len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
        here = {"cpu": cls(), **{f"gpu:{number}": cls(number) for number in range(count)}}
        if text not in here:
            raise InvalidSetting("device", f"this machine has no {text[:_SHOWN]!r}", ", ".join(here))
        return here[text]

    def take(self, config: ModelConfig) -> None:
        """Has the instances of a configuration run on this device alone."""
        for group in config.instance_group:
            group.kind = ModelInstanceGroup.KIND_CPU if self.gpu is None else ModelInstanceGroup.KIND_GPU
            group.gpus[:] = [] if self.gpu is None else [self.gpu]
