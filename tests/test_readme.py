"""What the README tells a reader to type works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from concord.images import encode_png
from concord.masks import encode_mask
from concord.scenes.scene import make_scene
from concord.server.embedded import EmbeddedServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"<!-- test: (\w+) -->\n```\w+\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("kind", "snippet"), SNIPPETS, ids=[text.split("\n")[0][:40] for _, text in SNIPPETS])
def test_a_snippet_of_the_readme_runs_as_printed(
    kind: str, snippet: str, server: EmbeddedServer, tmp_path: Path
) -> None:
    addresses = {"localhost:8001": server.grpc_url, "localhost:8000": server.http_url}
    run_snippet(kind, snippet, addresses, tmp_path, CONCORD_URL=server.grpc_url)


def run_snippet(kind: str, snippet: str, addresses: dict[str, str], folder: Path, **environment: str) -> None:
    """Runs what the README prints beside a photograph, a mask and a folder of photographs, with addresses replaced."""
    scene = make_scene(1_000_007)
    (folder / "photo.jpg").write_bytes(encode_png(scene.composite))
    (folder / "mask.png").write_bytes(encode_mask(scene.mask))
    (folder / "photos").mkdir()
    (folder / "photos" / "one.jpg").write_bytes(encode_png(scene.composite))
    here = Path(sys.executable).parent
    for printed, real in {".venv/bin/": f"{here}/", **addresses}.items():
        snippet = snippet.replace(printed, real)
    command = [sys.executable, "-c", snippet] if kind == "python" else ["bash", "-euo", "pipefail", "-c", snippet]
    finished = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )
    assert finished.returncode == 0, finished.stderr
    for written in (folder / "harmonized.png", folder / "harmonized" / "one.png"):
        if written.exists():
            assert np.asarray(Image.open(written)).shape == scene.composite.shape
    assert "harmonized.png" not in snippet or (folder / "harmonized.png").exists()


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named <= targets | {"help"}


def test_every_link_into_the_repository_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)
