"""A public model's name stands in its declaration, and in no other code."""

import ast
from functools import cache
from pathlib import Path

from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES

ROOT = Path(__file__).parents[1]
ROOMS = (
    "annotation",
    "backends",
    "benchmarks",
    "client",
    "concord",
    "demo",
    "deploy",
    "docs",
    "ensembles",
    "export",
    "facade",
)
DECLARED = ("export/networks/", "export/pipelines/", "export/__main__.py")
"""Where a model is declared, or what is exported is listed."""

SUBJECTS = {
    "benchmarks/family/loops.py": "which loops are measured, with small networks",
    "benchmarks/family/subjects.py": "which networks are measured at their published sizes",
    "benchmarks/subjects.py": "which models the performance page is about",
    "demo/tasks/autoencoder.py": "the folder of the weights that it trains",
    "demo/tasks/denoiser.py": "the folder of the weights that it trains",
    "demo/tasks/drawer.py": "the folder of the weights that it trains",
    "demo/tasks/referrer.py": "the folder of the weights that it trains",
    "demo/train.py": "each demo network is trained by a command of its own",
}
"""Files that are about one model, and why."""


@cache
def names() -> set[str]:
    """Models, and the pipelines that answer for them."""
    pipelines = catalogue(MODEL_REPOSITORIES, missing=()).pipelines
    return {pipeline.model for pipeline in pipelines} | {pipeline.name for pipeline in pipelines}


def named_in(path: Path) -> set[str]:
    """The names that stand in a file as strings of their own, not as words of a sentence."""
    constants = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return {constant for constant in constants if isinstance(constant, str)} & (names() - {"segment", "harmonize"})


def test_no_code_names_a_model_outside_its_declaration():
    found = {
        name: sorted(named)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if not (name := str(path.relative_to(ROOT))).startswith(DECLARED) and (named := named_in(path))
    }
    assert found == {name: found.get(name) for name in SUBJECTS}
