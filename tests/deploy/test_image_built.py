"""The image of the facade, built by buildah without docker, answers as the user that it names."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from concord.server.embedded import HOST, Ports
from concord.server.installation import ROOT
from tests.facade.recorded import wait_ready
from tests.facade.running import PATIENCE
from tests.images import copied, copy
from tests.serving.pictures import encoded, middle, photograph

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap"))),
        reason="needs the rights of root, and Debian's buildah and debootstrap",
    ),
]
DOCKERFILE = ROOT / "deploy" / "Dockerfile.facade"
# The base of the Dockerfile comes from a registry of images; Debian's own Python stands in for it.
PYTHON, FACADE = "localhost/concord-python", "localhost/concord-facade"
RELEASE, PACKAGES = "bookworm", "python3,python3-venv,libpython3.11,ca-certificates"
USER = 10001
KEY = "0123456789abcdef0123456789abcdef"


class Images:
    """The images of one folder, which are gone with it."""

    def __init__(self, folder: Path) -> None:
        (folder / "tmp").mkdir()
        self._command = ["buildah", "--storage-driver", "vfs", "--root", str(folder / "images")]
        self._command += ["--runroot", str(folder / "running")]
        self._environment = {**os.environ, "TMPDIR": str(folder / "tmp")}

    def do(self, *arguments: str) -> str:
        """What a command of buildah's prints."""
        ran = subprocess.run([*self._command, *arguments], env=self._environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-4000:]
        return ran.stdout.strip()

    def run(self, container: str, *command: str, **environment: str) -> psutil.Popen:
        """A command in a container, with the network of this machine."""
        named = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        arguments = ["run", "--isolation", "chroot", *named, container, "--", *command]
        return psutil.Popen([*self._command, *arguments], env=self._environment)


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    # Gigabytes, which pytest would keep for the next three runs.
    with tempfile.TemporaryDirectory(prefix="images") as name:
        folder = Path(name)
        root, context = folder / "root", folder / "context"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, root],
            check=True,
            capture_output=True,
        )
        images = Images(folder)
        container = images.do("from", "scratch")
        images.do("add", "--quiet", container, str(root), "/")
        images.do("commit", "--quiet", "--rm", container, PYTHON)
        context.mkdir()
        for each in copied(DOCKERFILE):
            copy(each, context)
        certificates = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
        bases = ["--build-arg", f"PYTHON={PYTHON}", "--file", str(DOCKERFILE), "--tag", FACADE]
        images.do("bud", "--isolation", "chroot", "--network", "host", *certificates, *bases, str(context))
        yield images


def test_the_image_harmonizes_as_a_user_without_rights(images: Images) -> None:
    container = images.do("from", FACADE)
    port = Ports(http=0).chosen().http
    ports = {f"CONCORD_{name}PORT": str(number) for name, number in (("", port), ("GRPC_", 0), ("METRICS_", 0))}
    settings = {"CONCORD_HOST": HOST, "CONCORD_API_KEYS": KEY, **ports}
    process = images.run(container, "concord", "serve", **settings)
    try:
        wait_ready(f"http://{HOST}:{port}/readyz", process)
        files = {"image": encoded(photograph(64, 48)), "mask": encoded(middle(64, 48))}
        signed = {"Authorization": f"Bearer {KEY}"}
        answer = httpx.post(f"http://{HOST}:{port}/v1/harmonize", files=files, headers=signed, timeout=PATIENCE)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
        serving = [each for each in process.children(recursive=True) if "/opt/concord/bin/concord" in each.cmdline()]
        assert {each.uids().real for each in serving} == {USER}
    finally:
        for each in process.children(recursive=True):
            each.terminate()
        process.wait()


def test_the_image_lists_what_it_is_made_of(images: Images) -> None:
    container = images.do("from", FACADE)
    said = images.do("run", "--isolation", "chroot", container, "--", "cat", "/opt/concord/sbom.cdx.json")
    assert '"bomFormat": "CycloneDX"' in said and '"fastapi"' in said
