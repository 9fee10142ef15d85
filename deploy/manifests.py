"""Renders Kubernetes' manifests from a folder of Kustomize, and says what Kubernetes does not know in them.

``python -m deploy.manifests FOLDER...`` prints a line for each problem, with the field's path; it asks no cluster. It
needs the packages of the extra ``check``.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import yaml

Manifest: TypeAlias = dict[str, Any]

OVERLAYS = Path(__file__).parent / "kubernetes" / "overlays"
OLDEST, NEWEST = "1.30", "1.37"
"""The releases of Kubernetes that manifests are compared with. Before 1.30 a pod's hook cannot sleep."""
FOREIGN = ("serving.kserve.io/",)
"""Groups whose kinds are not Kubernetes' own."""
_KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


class ManifestError(Exception):
    """A folder cannot be rendered; the text is Kustomize's."""


def rendered(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would send.

    Raises:
        ManifestError: Kustomize finds a file or a patch wrong.
    """
    ran = subprocess.run([_KUBECTL, "kustomize", folder], capture_output=True, text=True)  # noqa: S603
    if ran.returncode:
        raise ManifestError(f"{folder.name}: {ran.stderr.strip().removeprefix('error: ')}")
    return [each for each in yaml.safe_load_all(ran.stdout) if each]


def problems(manifests: Iterable[Mapping[str, Any]], release: str = NEWEST) -> list[str]:
    """What a release of Kubernetes would refuse or not know, as ``KIND NAME: FIELD: what is wrong``."""
    found = []
    for manifest in manifests:
        if manifest["apiVersion"].startswith(FOREIGN):
            continue
        what = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            kubernetes_validate.validate(manifest, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{what}: {_field(error.absolute_path)}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"{what}: apiVersion, kind: {error.message}")
    return found


def _field(path: Iterable[str | int]) -> str:
    """A path such as ``spec.containers[0].image``; the whole is ``.``."""
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return written.removeprefix(".") or "."


def main(folders: Sequence[Path]) -> int:
    found = []
    for folder in folders:
        try:
            found += [f"{folder.name}: {each}" for each in problems(rendered(folder))]
        except ManifestError as error:
            found.append(str(error))
    print("\n".join(found) if found else "nothing is wrong")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main([Path(each) for each in sys.argv[1:]] or sorted(OVERLAYS.iterdir())))
