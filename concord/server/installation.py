"""Where the ``nvidia-pytriton`` wheel keeps its ``tritonserver``, and the folder a server is started from.

The wheel carries the server, its Python backend and one stub (the process that runs a Python model) for each version of
CPython, but not laid out the way Triton looks for them. Nothing of the wheel is imported: that takes seconds.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from concord.errors import ServerFailure

STUB = "triton_python_backend_stub"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ROOT = Path(__file__).resolve().parents[2]
# A wheel carries inside the package what a checkout has beside it.
_DATA = ROOT if (ROOT / "model_repository").is_dir() else ROOT / "concord" / "data"
_NEEDED = re.compile(
    "CONCORD_MAX_BYTES|CONCORD_MAX_PIXELS|PATH|LD_LIBRARY_PATH|PYTHONPATH|HOME|XDG_CACHE_HOME|TMPDIR|TZ|LANG|LC_[A-Z]+|"
    "(CUDA|NVIDIA|NCCL|UCX|OMP|GOMP|KMP|MKL|OPENBLAS|DNNL|ONEDNN|ORT|OV|OPENVINO|MALLOC|TCMALLOC)_[A-Z0-9_]+"
)
_STUB_TIMEOUT_SECONDS = 120
HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""For ``GLIBC_TUNABLES``: large blocks of memory are taken in huge pages."""
BACKENDS = _DATA / "backends"
MODEL_REPOSITORIES = (_DATA / "model_repository", _DATA / "ensembles")


@dataclass(frozen=True)
class Installation:
    """The wheel's folder ``pytriton/tritonserver``, and that of the shared libraries bundled with it."""

    wheel: Path
    libraries: Path

    @classmethod
    def find(cls) -> "Installation":
        """The wheel in the running interpreter's environment; raises ServerFailure where it is not installed."""
        spec = importlib.util.find_spec("pytriton")
        if spec is None or spec.origin is None:
            raise ServerFailure("nvidia-pytriton", "the package is not installed", "pip install nvidia-pytriton")
        package = Path(spec.origin).parent
        return cls(package / "tritonserver", package.parent / "nvidia_pytriton.libs")

    @property
    def stub(self) -> Path:
        """The stub of the running Python's version; it need not exist."""
        return self.wheel / "python_backend_stubs" / _PYTHON / STUB

    def require_stub(self) -> None:
        """Raises ServerFailure without a stub for the running Python, or with a numpy that it would crash with."""
        if not self.stub.is_file():
            minors = sorted(int(folder.name[2:]) for folder in self.stub.parent.parent.glob("3.*"))
            versions = ", ".join(f"3.{minor}" for minor in minors) or "none: the wheel holds no stub at all"
            problem = f"the installed nvidia-pytriton has no stub for Python {_PYTHON}"
            raise ServerFailure("Python", problem, f"Python {versions}")
        numpy = version("numpy")
        if int(numpy.partition(".")[0]) > 1:
            # The stub reads the size of an element from where numpy 1 keeps it.
            raise ServerFailure("numpy", f"Triton's stubs crash with the installed {numpy}", "pip install 'numpy<2'")

    def missing_libraries(self) -> list[str]:
        """Names of the shared libraries that the stub needs and the loader does not find, as ``ldd`` says."""
        ldd = shutil.which("ldd")
        if ldd is None:
            return []
        interpreter = _libpython()
        environment = os.environ | {"LD_LIBRARY_PATH": self._library_path(interpreter.parent if interpreter else "")}
        listing = subprocess.run([ldd, self.stub], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        return re.findall(r"^\s*(\S+) => not found", listing.stdout, flags=re.MULTILINE)

    def assemble(self, directory: Path) -> None:
        """Lays out ``backends/`` and ``lib/`` in `directory`, the way Triton and the loader look for them."""
        # Copies, because Triton refuses a backend whose library resolves to a place outside its folder.
        for source in (self.wheel / "backends" / "python", *BACKENDS.iterdir()):
            shutil.copytree(source, directory / "backends" / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "backends" / "python" / STUB).symlink_to(self.stub)
        libraries = directory / "lib"
        libraries.mkdir()
        if interpreter := _libpython():
            (libraries / interpreter.name).symlink_to(interpreter)

    def command(self, directory: Path) -> list[str]:
        """The server that was laid out in `directory`, and where it finds its parts."""
        return [
            str(self.wheel / "bin" / "tritonserver"),
            f"--backend-directory={directory / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={directory.name}-",
            f"--backend-config=python,stub-timeout-seconds={_STUB_TIMEOUT_SECONDS}",
            f"--cache-directory={self.wheel / 'caches'}",
        ]

    def environment(self, directory: Path) -> dict[str, str]:
        """Environment of a server that was laid out in `directory`: its stubs find this interpreter's packages."""
        site_packages = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
        return needed_variables() | {
            # Activations are given back after large runs; taken again in huge pages, they cost a tenth of the faults.
            "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", HUGE_PAGES),
            # Pictures are worked on in bands, side by side; threads of numpy's own would spin beside the networks.
            "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
            "PATH": _joined(str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)),
            "PYTHONPATH": _joined(*site_packages, str(ROOT), os.environ.get("PYTHONPATH", "")),
            # A folder of links instead of the interpreter's own: a conda environment's holds far more than libpython.
            "LD_LIBRARY_PATH": self._library_path(directory / "lib"),
        }

    def _library_path(self, folder: Path | str) -> str:
        return _joined(str(self.libraries), str(folder), os.environ.get("LD_LIBRARY_PATH", ""))


def needed_variables() -> dict[str, str]:
    """Of this process's environment what Triton, its models and their libraries read.

    The rest is kept from them: some of it changes what Triton does (``AIP_MODE``), and some of it is secret.
    """
    return {name: value for name, value in os.environ.items() if _NEEDED.fullmatch(name)}


def _libpython() -> Path | None:
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    library = Path(str(folder)) / str(name)
    return library if ".so" in library.name and library.is_file() else None


def _joined(*folders: str) -> str:
    return os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))
