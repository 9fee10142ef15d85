"""``concord doctor``: says in plain words what keeps the server from running here."""

import argparse
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from concord.errors import ServerFailure
from concord.server.bulletins import BULLETINS, EMBEDDED
from concord.server.declared import catalogue, unexported
from concord.server.embedded import HOST, Ports
from concord.server.installation import MODEL_REPOSITORIES, Installation
from concord.server.leftovers import SHARED_MEMORY
from concord.server.room import free_bytes
from concord.variants import outdated

HELP = "say in plain words what keeps the server from running on this machine"
# Importable name and the name it is installed by.
PACKAGES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "simplejpeg": "simplejpeg",
    "isal": "isal",
    "tokenizers": "tokenizers",
    "ftfy": "ftfy",
    "psutil": "psutil",
    "tritonclient.grpc": "tritonclient[grpc]",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn[standard]",
    "httptools": "uvicorn[standard]",
    "python_multipart": "python-multipart",
    "pydantic_settings": "pydantic-settings",
    "structlog": "structlog",
    "prometheus_client": "prometheus-client",
    "limits": "limits",
    "gradio": "gradio",
}
FACADE_PORT = 8080
# Each stub starts with one megabyte; an image of 40 megapixels then needs 120 in each model it passes.
MINIMUM_SHARED_MEMORY = 512 * 2**20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it was, and what is wrong with it or worth knowing (empty: nothing)."""

    subject: str
    problem: str = ""
    note: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments: where the server that is to be run listens, and what it serves."""
    parser.add_argument("--port", type=int, default=FACADE_PORT, help="of the facade (default: %(default)s)")
    parser.add_argument("--http-port", type=int, help="with `concord serve --triton-http`")
    parser.add_argument("--grpc-port", type=int, default=Ports.grpc, help="default: %(default)s")
    parser.add_argument("--metrics-port", type=int, default=Ports.metrics, help="default: %(default)s")
    parser.add_argument(
        "--model-repository",
        type=Path,
        action="append",
        help="folder with models, may be given several times (default: the project's models and ensembles)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints a line for everything looked at; returns 1 if something is wrong, else 0."""
    findings = [
        *packages(),
        *installation(),
        security(),
        *([] if args.http_port is None else [port_finding("http port", args.http_port, "--http-port")]),
        port_finding("grpc port", args.grpc_port, "--grpc-port"),
        port_finding("metrics port", args.metrics_port, "--metrics-port"),
        port_finding("facade's port", args.port, "--port"),
        *models(args.model_repository or MODEL_REPOSITORIES),
        shared_memory(),
    ]
    for finding in findings:
        verdict = "problem" if finding.problem else "note" if finding.note else "ok"
        print(f"[{verdict}] {finding.subject}: {finding.problem or finding.note or 'fine'}")
    return int(any(finding.problem for finding in findings))


def packages() -> Iterator[Finding]:
    """Whether the packages that serving needs can be found."""
    for module, distribution in PACKAGES.items():
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        yield Finding(f"package {distribution}", "" if found else f"it is missing; pip install '{distribution}'")


def installation() -> Iterator[Finding]:
    """Whether the wheel is there and has a stub for this Python, whose libraries the loader finds."""
    try:
        found = Installation.find()
        found.require_stub()
    except ServerFailure as failure:
        yield Finding(failure.field, f"{failure.problem}; needed: {failure.allowed}")
        return
    yield Finding("Triton's stub for this Python")
    missing = found.missing_libraries()
    for library in missing:
        version = re.match(r"libpython(\d\.\d+)", library)
        advice = f"; on Debian and Ubuntu: apt-get install libpython{version[1]}" if version else ""
        yield Finding(f"shared library {library}", f"Triton's stub needs it and the loader does not find it{advice}")
    if not missing:
        yield Finding("shared libraries of Triton's stub")


def security() -> Finding:
    """Which version of Triton is embedded, and the security bulletins that it lacks the fixes of."""
    lacking = [str(each) for each in BULLETINS if each.fixed > EMBEDDED]
    advice = f"it lacks the fixes of NVIDIA's bulletins {', '.join(lacking)}; keep its ports on this machine"
    return Finding(f"embedded Triton {'.'.join(map(str, EMBEDDED))}", note=advice if lacking else "")


def port_finding(name: str, port: int, flag: str) -> Finding:
    """Whether a port on loopback is free."""
    try:
        Ports(grpc=port, metrics=0).chosen()
    except ServerFailure:
        advice = f"another server may be running; choose another with {flag}"
        return Finding(name, f"{port} on {HOST} is taken; {advice}")
    return Finding(f"{name} {port}")


def models(repositories: Sequence[Path]) -> Iterator[Finding]:
    """Whether the model repositories exist and hold something to serve.

    Named are networks that are not exported, and pipelines whose declaration cannot be read or claims another's place.
    """
    folders = [repository for repository in repositories if repository.is_dir()]
    for repository in repositories:
        if repository not in folders:
            yield Finding(f"model repository {repository}", "there is no such folder")
    advice = "`python -m export --help` says how a checkpoint becomes a network"
    try:
        left_out = unexported(folders)
        outlived = set(outdated(folders)) - left_out
        catalogue(folders, left_out)
    except ServerFailure as failure:
        help_ = f"allowed: {failure.allowed}" if failure.allowed else advice
        yield Finding(failure.field, f"{failure.problem}; {help_}")
        return
    for name in sorted(outlived):
        yield Finding(f"model {name}", note="`concord tune` chose its form before its files were made; run it again")
    for name in sorted(left_out):
        yield Finding(f"model {name}", note=f"not exported, or it needs one that is not: it is not served; {advice}")


def shared_memory() -> Finding:
    """Whether there is enough shared memory for tensors on their way between the server and its stubs."""
    try:
        free = free_bytes(SHARED_MEMORY)
    except OSError:
        return Finding(str(SHARED_MEMORY), "it is missing, and Triton's Python models need it")
    problem = f"{free >> 20} MiB free, at least {MINIMUM_SHARED_MEMORY >> 20} are needed (docker: --shm-size=1g)"
    return Finding(str(SHARED_MEMORY), problem if free < MINIMUM_SHARED_MEMORY else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="concord doctor", description=HELP)
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
