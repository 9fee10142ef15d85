"""What a test needs that takes long to start or to import, found in its code; `tests/conftest.py` marks it so."""

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
    ("concord.server.embedded", "EmbeddedServer"),
    ("concord.instruments.started_server", "serving"),
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
        for name in _imports(waiting.pop()):
            found.add(name.partition(".")[0])
            for file in (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py"):
                if file not in seen and file.is_file():
                    seen.add(file)
                    waiting.append(file)
    return frozenset(found)


def _imports(path: Path) -> Iterator[str]:
    """Modules that a file imports; outside `tests`, only those it imports when it is imported itself."""
    tree = ast.parse(path.read_bytes())
    nodes = ast.walk(tree) if path.is_relative_to(ROOT / "tests") else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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
