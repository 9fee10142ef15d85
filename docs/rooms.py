"""``python -m docs.rooms``: draws the rooms in ``docs/architecture.md`` from the imports of the code, as Mermaid text.

A room is a folder at the root; a sub-room is a package inside a room. A circle is two of them that import each other,
directly or through others.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from concord.instruments.markdown import filled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = {
    "concord_client": "client/concord_client",
    "concord": "concord",
    "facade": "facade",
    "annotation": "annotation",
    "export": "export",
    "deploy": "deploy",
    "demo": "demo",
    "benchmarks": "benchmarks",
}
"""Folders of the packages, which are imported by the names before them."""
LOADED = ("model_repository", "ensembles", "backends")
"""Folders that Triton loads: their ``model.py`` files import, and nothing imports them."""

Graph = Mapping[str, set[str]]
"""What each name imports."""


def modules() -> dict[str, Path]:
    """The files of all rooms by their dotted names; a package is its ``__init__.py``."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = (package, *path.relative_to(ROOT / folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    for folder in LOADED:
        for path in sorted((ROOT / folder).glob("**/model.py")):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which of the files each file imports, wherever in the file the import stands."""
    return {name: set(_imported(path, files)) - {name} for name, path in files.items()}


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names: Iterable[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in files:  # a class or a function: its module
                name = name.rpartition(".")[0]
            if name:
                yield name


def merged(graph: Graph, names: Mapping[str, str]) -> dict[str, set[str]]:
    """The graph with every node under another name; nodes of one name become one, nodes without a name are left out."""
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for node, name in names.items():
        found[name] |= {names[target] for target in graph[node] if target in names} - {name}
    return found


def room(module: str) -> str:
    """The room of a module; what Triton loads is one room."""
    first = module.partition(".")[0]
    return "models" if first in LOADED else first


def sub_rooms(files: Iterable[str], name: str) -> dict[str, str]:
    """The sub-room of each module of a room; a file at the root of a room is one of its own."""
    return {module: ".".join(module.split(".")[:2]) for module in files if room(module) == name}


def reached(graph: Graph, start: str) -> set[str]:
    """Everything that a node imports, directly or through others."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node]
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that import each other, directly or through others."""
    beyond = {node: reached(graph, node) for node in graph}
    groups = {tuple(sorted(each for each in beyond[node] if node in beyond[each])) for node in graph}
    return sorted(list(group) for group in groups if group)


def arrows(graph: Graph) -> list[str]:
    """The arrows that no longer way through the graph stands for."""
    return [
        f"{node} --> {target}"
        for node in sorted(graph)
        for target in sorted(graph[node])
        if not any(target in reached(graph, other) for other in graph[node] - {target})
    ]


def inside(name: str, files: Mapping[str, Path], graph: Graph) -> Iterator[str]:
    """The packages of a room with their arrows, and the files at its root."""
    names = sub_rooms(files, name)
    within = merged(graph, names)
    packages = {each for each in within if files[each].name == "__init__.py"} - {name}
    yield from (f'{each}["{each.rpartition(".")[2]}/"]' for each in sorted(packages))
    yield from arrows({each: reached(within, each) & packages for each in packages})
    single = sorted(files[each].stem for each in within.keys() - packages - {name, f"{name}.__main__"})
    if single:
        yield f'{name}.files("`{", ".join(single)}`")'


def drawn() -> str:
    """The picture: an arrow goes from a room or sub-room to each that it imports, but for what lies behind another."""
    files = modules()
    graph = imports(files)
    rooms = merged(graph, {module: room(module) for module in files})
    lines = []
    for name in sorted(rooms.keys() & PACKAGES.keys()):
        lines += [f'subgraph {name}["{PACKAGES[name]}/"]', *inside(name, files, graph), "end"]
    folders = "<br>".join(f"{folder}/" for folder in LOADED)
    return "\n".join(("```mermaid", "flowchart TB", *lines, f'models["{folders}"]', *arrows(rooms), "```"))


def written(page: str) -> str:
    """The page with its picture drawn again."""
    return filled(page, {"rooms": drawn()})


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
