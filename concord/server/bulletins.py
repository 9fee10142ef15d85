"""NVIDIA's security bulletins about Triton, and the version of Triton that is embedded.

The bulletins are at https://nvidia.custhelp.com/app/answers/detail/a_id/NUMBER. A bulletin names the release of the
container that has its fixes; https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes says which
version of Triton is in it.
"""

from dataclasses import dataclass

EMBEDDED = (2, 51, 0)
"""The version in the wheel that ``constraints.txt`` names; the wheel does not say it."""


@dataclass(frozen=True)
class Bulletin:
    """One bulletin.

    Attributes:
        number: NVIDIA's.
        release: the first container with its fixes.
        fixed: the version of Triton in it.
        worst: its gravest entry.
    """

    number: int
    release: str
    fixed: tuple[int, int, int]
    worst: str

    def __str__(self) -> str:
        return f"{self.number} ({self.worst}; fixed in {self.release})"


BULLETINS = (
    Bulletin(5687, "25.07", (2, 59, 1), "CVE-2025-23310"),
    Bulletin(5816, "26.02", (2, 66, 0), "high"),
    Bulletin(5828, "26.03", (2, 67, 0), "CVE-2026-24207"),
    Bulletin(5860, "26.03", (2, 67, 0), "medium"),
    Bulletin(5848, "26.04", (2, 68, 0), "high"),
    Bulletin(5865, "26.06", (2, 70, 0), "CVE-2026-47627"),
    Bulletin(5875, "26.07", (2, 71, 0), "CVE-2026-16497"),
)
