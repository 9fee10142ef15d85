"""What a test needs that takes long to start or to import, found by reading its code."""

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).parents[1]
# What the extra `export` installs.
_EXPORT = {"diffusers", "nncf", "onnx", "onnx_ir", "onnxscript", "open_clip", "safetensors", "torch", "transformers"}
# What starts Triton or a facade, and what starts a browser.
_SERVERS = {
    ("benchmarks.balanced.haproxy", "balancing"),
    ("benchmarks.balanced.replicas", "replicas"),
    ("benchmarks.bulk.nodes", "nodes"),
    ("benchmarks.floors.published", "serving"),
    ("concord.server.embedded", "EmbeddedServer"),
    ("concord.instruments.started_server", "serving"),
    ("tests.annotation.running", "annotating"),
    ("tests.facade.running", "running"),
    ("tests.serving.stack", "serving"),
}
_BROWSERS = {("playwright.sync_api", "sync_playwright")}


def needs_torch(path: Path) -> bool:
    """Whether a test module tests the exporter, or it or what it imports needs what the exporter is made of."""
    return "export" in path.relative_to(ROOT).parts or not _EXPORT.isdisjoint(_reached(path))


def needs(functions: list[Callable[..., Any]]) -> set[str]:
    """Of "server" and "browser", what is started by a test and its fixtures, or by functions of `tests` they name."""
    named: set[tuple[str, str]] = set()
    seen: set[int] = set()
    for function in functions:
        _gather(function, named, seen)
    return {need for need, starters in (("server", _SERVERS), ("browser", _BROWSERS)) if named & starters}


@cache
def _reached(path: Path) -> frozenset[str]:
    """Top-level packages that are imported by a file of the repository, and by those of its files it imports."""
    found: set[str] = set()
    waiting, seen = [path], {path}
    while waiting:
        packages, files = _imports(waiting.pop())
        found |= packages
        waiting += files - seen
        seen |= files
    return frozenset(found)


@cache
def _imports(path: Path) -> tuple[set[str], set[Path]]:
    """What a file imports, packages and files; outside `tests`, only what it imports when it is imported itself."""
    tree = ast.parse(path.read_bytes())
    names: set[str] = set()
    for node in ast.walk(tree) if path.is_relative_to(ROOT / "tests") else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    packages = {name.partition(".")[0] for name in names}
    ours = [name.replace(".", "/") for name in names if (ROOT / name.partition(".")[0]).is_dir()]
    files = {file for each in ours for file in (ROOT / f"{each}.py", ROOT / each / "__init__.py") if file.is_file()}
    return packages, files


def _gather(value: Any, named: set[tuple[str, str]], seen: set[int]) -> None:
    if isinstance(value, type):
        for member in vars(value).values():
            _gather(getattr(member, "fget", member), named, seen)
    function = getattr(value, "__wrapped__", value)  # below a context manager's or a fixture's decorator
    if not isinstance(function, FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    for name in _names(function.__code__):
        with suppress(KeyError):
            used = function.__globals__[name]
            module, qualified = getattr(used, "__module__", None) or "", getattr(used, "__qualname__", "")
            named.add((module, qualified))
            if module.startswith("tests."):
                _gather(used, named, seen)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
