"""What the README and the pages of docs/ tell a reader to type works, and their links lead somewhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from concord.masks import encode_mask
from concord.png import encode_png
from concord.scenes.scene import make_scene
from concord.server.embedded import EmbeddedServer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "demo/MODEL_CARD.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}


def snippets(marker: str) -> list[object]:
    """Kind and text of every snippet of the pages with a marker such as ``test: facade``."""
    pattern = rf"<!-- {marker} (\w+) -->\n```\w+\n(.*?)```"
    return [
        pytest.param(kind, text, id=f"{page}: {text.splitlines()[0][:40]}")
        for page, content in TEXTS.items()
        for kind, text in re.findall(pattern, content, re.DOTALL)
    ]


@pytest.mark.parametrize(("kind", "snippet"), snippets("test:"))
def test_a_snippet_of_a_page_runs_as_printed(kind: str, snippet: str, server: EmbeddedServer, tmp_path: Path) -> None:
    addresses = {"localhost:8001": server.grpc_url, "localhost:8000": server.http_url}
    run_snippet(kind, snippet, addresses, tmp_path, CONCORD_URL=server.grpc_url)


def run_snippet(kind: str, snippet: str, addresses: dict[str, str], folder: Path, **environment: str) -> None:
    """Runs what a page prints beside a photograph, a mask and a folder of photographs, with addresses replaced."""
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


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 200


def test_the_changelog_begins_with_the_version_of_both_distributions() -> None:
    files = (ROOT / "pyproject.toml", ROOT / "client" / "pyproject.toml")
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    newest = re.findall(r"^## \[(.+?)\]", TEXTS["CHANGELOG.md"], re.MULTILINE)[0]
    assert {project["version"] for project in projects} == {newest}


@pytest.mark.parametrize("page", TEXTS)
def test_every_make_target_of_a_page_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXTS[page], re.MULTILINE))
    assert named <= targets | {"help"}


@pytest.mark.parametrize("page", TEXTS)
def test_every_module_that_a_page_runs_exists(page: str) -> None:
    for name in set(re.findall(r"python -m ([\w.]+\w)", TEXTS[page])) - {"pytest"}:
        folder = ROOT.joinpath(*name.split("."))
        assert folder.with_suffix(".py").exists() or (folder / "__main__.py").exists(), name


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_into_the_repository_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXTS[page]):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not heading or heading in headings(target.read_text()), link


def headings(text: str) -> set[str]:
    """The anchors of a page as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}
