"""The distribution, installed as a wheel: it holds what a server is started from, and serves without the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from concord.server.installation import ROOT
from tests.images import copied, copy
from tests.serving.pictures import decoded, encoded, middle, photograph

# They start their servers in other processes, where tests/needs.py does not look.
pytestmark = pytest.mark.server

DOCKERFILE = ROOT / "deploy" / "Dockerfile.facade"
SERVED = ("backends", "ensembles", "model_repository")
PORTS = ("--port", "0", "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
NEVER = ("benchmarks", "demo", "export", "tests")
# Without what would lead back to the checkout.
ALONE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
# An answer of a server that is made of the installed files alone.
HARMONIZE = """
import sys
from pathlib import Path
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client

with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
    answer = client.harmonize(Path("photo.png"), mask=Path("mask.png"))
Path("harmonized.png").write_bytes(answer.image)
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """Both wheels, built from those files of the repository that the facade's image is built from."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in copied(DOCKERFILE):
        copy(name, source)
    # As pip does it in the image, but with the environment's own setuptools: nothing is downloaded.
    for project in (source / "client", source):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", built]
        made_wheel = subprocess.run([*command, project], capture_output=True, text=True)
        assert made_wheel.returncode == 0, made_wheel.stderr
    return built


def test_the_wheel_carries_what_is_served_and_nothing_else(wheels):
    [wheel] = wheels.glob("concord-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for file in filter(None, tracked.stdout.split("\0")):
        room = file.partition("/")[0]
        if room in SERVED:
            assert f"concord/data/{file}" in names, f"{file} is not in the wheel"
        elif room in ("annotation", "concord", "facade"):
            assert file in names, f"{file} is not in the wheel"
    assert not {name.partition("/")[0] for name in names} & set(NEVER)


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory) -> Path:
    """A new environment with the two wheels, which finds what they depend on in this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    command = [sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, *wheels.glob("*.whl")], env=ALONE, check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # A path and not `site.addsitedir`, which would find the checkout that is installed there.
    Path(site, "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


def run(installed: Path, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [installed / "bin" / program, *arguments]
    return subprocess.run(command, cwd=folder, env=ALONE, capture_output=True, text=True, timeout=600)


def test_it_is_the_installed_package_that_is_found(installed, tmp_path):
    program = (
        "import concord, concord_client, facade; print(concord.__file__, concord_client.__file__, facade.__file__)"
    )
    found = run(installed, tmp_path, "python", "-c", program)
    assert found.returncode == 0, found.stderr
    assert all(Path(file).is_relative_to(installed) for file in found.stdout.split())


def test_the_doctor_finds_the_installed_models(installed, tmp_path):
    said = run(installed, tmp_path, "concord", "doctor", *PORTS)
    assert said.returncode == 0, said.stdout + said.stderr


def test_it_serves_from_there(installed, tmp_path):
    (tmp_path / "photo.png").write_bytes(encoded(photograph(96, 72)))
    (tmp_path / "mask.png").write_bytes(encoded(middle(96, 72)))
    ended = run(installed, tmp_path, "python", "-c", HARMONIZE)
    assert ended.returncode == 0, ended.stderr
    pixels, untouched = decoded((tmp_path / "harmonized.png").read_bytes()), middle(96, 72) == 0
    assert (pixels[untouched] == photograph(96, 72)[untouched]).all()
    assert (pixels[~untouched] != photograph(96, 72)[~untouched]).any()
