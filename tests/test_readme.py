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
from concord.server import EmbeddedServer
from demo.scenes import make_scene

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"<!-- test: (\w+) -->\n```\w+\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("kind", "snippet"), SNIPPETS, ids=[text.split("\n")[0][:40] for _, text in SNIPPETS])
def test_a_snippet_of_the_readme_runs_as_printed(
    kind: str, snippet: str, server: EmbeddedServer, tmp_path: Path
) -> None:
    scene = make_scene(1_000_007)
    (tmp_path / "photo.jpg").write_bytes(encode_png(scene.composite))
    (tmp_path / "mask.png").write_bytes(encode_mask(scene.mask))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(encode_png(scene.composite))
    here = Path(sys.executable).parent
    snippet = snippet.replace(".venv/bin/", f"{here}/")
    snippet = snippet.replace("localhost:8001", server.grpc_url).replace("localhost:8000", server.http_url)
    command = [sys.executable, "-c", snippet] if kind == "python" else ["bash", "-euo", "pipefail", "-c", snippet]
    environment = os.environ | {"CONCORD_URL": server.grpc_url}
    finished = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    for written in (tmp_path / "harmonized.png", tmp_path / "harmonized" / "one.png"):
        if written.exists():
            assert np.asarray(Image.open(written)).shape == scene.composite.shape
    assert "harmonized.png" not in snippet or (tmp_path / "harmonized.png").exists()


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert named <= targets | {"help"}


def test_every_link_into_the_repository_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)
