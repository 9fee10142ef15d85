"""The processor of this machine: its name, and its kind by the instructions that networks are fast with."""

import platform
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

KINDS = {
    "amx": {"amx_tile", "amx_bf16", "amx_int8"},
    "avx512_bf16": {"avx512_bf16"},
    "avx512_vnni": {"avx512_vnni"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx_vnni": {"avx_vnni"},
    "avx2": {"avx2", "fma"},
}
"""The flags of every kind of x86 processor, the fastest first."""
BF16 = ("amx", "avx512_bf16")
"""The kinds with products of BF16."""
CUDA = "cuda"
"""Stands for a GPU of NVIDIA's."""
_CPUINFO, _NVIDIA = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")


def name() -> str:
    """The processor's name in Linux."""
    return next(_lines("model name"), platform.machine())


def flags() -> tuple[str, ...]:
    """The processor's flags in Linux."""
    return tuple(next(_lines("flags"), "").split())


@cache
def kinds() -> tuple[str, ...]:
    """All that is said of this machine's kind is said of these, too; the fastest first."""
    gpu = (CUDA,) if _NVIDIA.exists() else ()
    return gpu + of_flags(flags())


def here() -> tuple[str, ...]:
    """The fastest kind of this machine's processor, and `CUDA` where there is a GPU."""
    found = kinds()
    return found[:2] if found[0] == CUDA else found[:1]


def of_flags(given: Collection[str]) -> tuple[str, ...]:
    """The kinds of a processor with these flags of ``/proc/cpuinfo``; the architecture's name where none is known."""
    return tuple(kind for kind, needed in KINDS.items() if needed <= set(given)) or (platform.machine(),)


def _lines(field: str) -> Iterator[str]:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return
    yield from (line.partition(":")[2].strip() for line in lines if line.startswith(field))
