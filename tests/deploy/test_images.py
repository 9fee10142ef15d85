"""What can be said of the images without building them: what hadolint says, and the lists of what they are made of."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from concord.server.installation import ROOT

DEPLOY = ROOT / "deploy"
SCRIPTS = Path(sysconfig.get_path("scripts"))
DOCKERFILES = sorted(DEPLOY.glob("Dockerfile.*"))
OLDEST_TRITON = (26, 7)


def named(dockerfile: Path) -> str:
    return dockerfile.suffix.removeprefix(".")


def lint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPTS / "hadolint", "--no-color", dockerfile], capture_output=True, text=True)


def inventory(*arguments: str | Path) -> dict[str, str]:
    """Versions by name of what cyclonedx-bom finds."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([SCRIPTS / "cyclonedx-py", *arguments], capture_output=True, text=True, env=alone)
    assert ran.returncode == 0, ran.stderr
    bill = json.loads(ran.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    return {each["name"]: each["version"] for each in bill["components"]}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_hadolint_finds_nothing(dockerfile):
    found = lint(dockerfile)
    assert found.returncode == 0, found.stdout + found.stderr


def test_hadolint_names_the_line_of_a_user_with_all_rights(tmp_path):
    spoilt = tmp_path / "Dockerfile"
    lines = (DEPLOY / "Dockerfile.facade").read_text().splitlines()
    [line] = [number for number, text in enumerate(lines) if text.startswith("USER")]
    lines[line] = "USER root"
    spoilt.write_text("\n".join([*lines, ""]))
    found = lint(spoilt)
    assert found.returncode and f"{spoilt}:{line + 1} DL3002" in found.stdout


def test_triton_is_no_older_than_what_the_manifests_rest_on():
    [year, month] = re.findall(r"^ARG TRITON=\S+:(\d+)\.(\d+)-py3$", (DEPLOY / "Dockerfile.triton").read_text(), re.M)[
        0
    ]
    assert (int(year), int(month)) >= OLDEST_TRITON


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_an_image_has_a_list_of_what_it_is_made_of(dockerfile):
    *_, last = re.split(r"^FROM .*$", dockerfile.read_text(), flags=re.MULTILINE)
    [kind] = re.findall(r"cyclonedx-py (\w+) --output-reproducible -o \S*sbom\.cdx\.json", dockerfile.read_text())
    assert kind in ("environment", "requirements")
    [copied] = re.findall(r"^COPY --from=\w+ (\S+) ", last, re.MULTILINE)
    assert copied in ("/opt/concord", "/source/sbom.cdx.json")


def test_the_list_names_what_is_installed_with_its_version(tmp_path):
    # A small environment, and without the comparison with CycloneDX's schema: both take a while otherwise.
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    [site] = environment.glob("lib/python*/site-packages")
    for package in ("fastapi", "onnxruntime"):
        metadata = Path(str(distribution(package).locate_file(""))) / f"{package}-{version(package)}.dist-info"
        shutil.copytree(metadata, site / metadata.name)
    found = inventory("environment", "--output-reproducible", "--no-validate", environment / "bin" / "python")
    assert found == {package: version(package) for package in ("fastapi", "onnxruntime")}
    requirements = tmp_path / "installed.txt"
    requirements.write_text("".join(f"{package}=={number}\n" for package, number in found.items()))
    assert inventory("requirements", "--output-reproducible", "--no-validate", requirements) == found
