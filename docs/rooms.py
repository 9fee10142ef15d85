"""``python -m docs.rooms``: draws ``docs/rooms.svg`` from the imports of the code.

A room is a folder at the root; a sub-room is a package inside a room. A circle is two of them that import each other,
directly or through others.
"""

import ast
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "rooms.svg"
PACKAGES = {
    "concord_client": "client/concord_client",
    "concord": "concord",
    "facade": "facade",
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


def modules(root: Path = ROOT) -> dict[str, Path]:
    """The files of all rooms by their dotted names; a package is its ``__init__.py``."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = (package, *path.relative_to(root / folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    for folder in LOADED:
        for path in sorted((root / folder).glob("**/model.py")):
            found[".".join(path.relative_to(root).with_suffix("").parts)] = path
    return found


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which of the files each file imports, wherever in the file the import stands."""
    return {name: set(_imported(path, files)) - {name} for name, path in files.items()}


def _imported(path: Path, files: Mapping[str, Path]) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in files:  # a class or a function: its module
                name = name.rpartition(".")[0]
            if name:
                yield name


def merged(graph: Graph, names: Mapping[str, str]) -> dict[str, set[str]]:
    """The graph with every node under another name; nodes of one name become one."""
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for node, targets in graph.items():
        found[names[node]] |= {names[target] for target in targets} - {names[node]}
    return found


def room(module: str) -> str:
    """The room of a module; what Triton loads is one room."""
    first = module.partition(".")[0]
    return "models" if first in LOADED else first


def sub_room(module: str) -> str:
    """The sub-room of a module; a file at the root of a room is one of its own."""
    return ".".join(module.split(".")[:2])


def reached(graph: Graph, start: str) -> set[str]:
    """Everything that a node imports, directly or through others."""
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph.get(node, ())
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that import each other, directly or through others."""
    beyond = {node: reached(graph, node) for node in graph}
    groups = {tuple(sorted(each for each in beyond[node] if node in beyond[each])) for node in graph}
    return sorted(list(group) for group in groups if group)


def floors(graph: Graph) -> list[list[str]]:
    """The nodes by the longest way down to one that imports nothing; the lowest floor first.

    Nodes of a circle stand on one floor.
    """
    beyond = {node: reached(graph, node) for node in graph}
    height: dict[str, int] = {}

    def at(node: str) -> int:
        if node not in height:
            below = [each for each in beyond[node] if node not in beyond[each]]
            height[node] = 1 + max(map(at, below), default=-1)
        return height[node]

    found: list[list[str]] = [[] for _ in range(1 + max(map(at, graph), default=-1))]
    for node in sorted(graph):
        found[at(node)].append(node)
    return found


def direct(graph: Graph) -> list[tuple[str, str]]:
    """The arrows that no longer way through the graph stands for."""
    return sorted(
        (node, target)
        for node, targets in graph.items()
        for target in targets
        if not any(target in reached(graph, other) for other in targets - {target})
    )


def contents(files: Mapping[str, Path], graph: Graph, name: str) -> tuple[list[list[str]], list[str]]:
    """The sub-rooms of a room by floor, the highest first, and the files at its root."""
    if name not in PACKAGES:
        return [], []
    inside = {module: sub_room(module) for module in files if room(module) == name}
    within = merged({module: graph[module] & inside.keys() for module in inside}, inside)
    packages = {inside[module] for module in inside if module.count(".") > 1 and inside[module] != name}
    levels = floors({each: reached(within, each) & packages for each in packages})
    single = sorted(each.rpartition(".")[2] for each in within.keys() - packages - {name})
    named = [[each.rpartition(".")[2] for each in level] for level in reversed(levels)]
    return named, [each for each in single if not each.startswith("__")]


# Sizes of the drawing in pixels. Its font has one width, so that a text's length is known.
_LETTER, _LINE, _PAD, _GAP, _WIDTH = 7.3, 18, 10, 46, 960


def drawn(root: Path = ROOT) -> str:
    """The picture, as SVG: rooms on floors, with an arrow from a room to each that it imports."""
    files = modules(root)
    graph = imports(files)
    rooms = merged(graph, {module: room(module) for module in files})
    boxes: dict[str, tuple[float, float, float, float]] = {}
    shapes: list[str] = []
    y = float(_PAD)
    for storey in reversed(floors(rooms)):
        within = {name: contents(files, graph, name) for name in storey}
        shares = {name: 8 + sum(map(len, packages)) + len(single) / 4 for name, (packages, single) in within.items()}
        unit = (_WIDTH - _PAD * (len(storey) + 1)) / sum(shares.values())
        texts = {name: _texts(name, *within[name], shares[name] * unit - 2 * _PAD) for name in storey}
        height = max(map(len, texts.values())) * _LINE + 2 * _PAD
        x = float(_PAD)
        for name in storey:
            width = shares[name] * unit
            boxes[name] = (x, y, width, height)
            shapes.append(f'<rect class="room" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height}" rx="6"/>')
            shapes += [
                f'<text class="{kind}" x="{x + _PAD:.0f}" y="{y + _PAD + 13 + line * _LINE:.0f}">{escape(text)}</text>'
                for line, (kind, text) in enumerate(texts[name])
            ]
            x += width + _PAD
        y += height + _GAP
    shapes += [_arrow(boxes[source], boxes[target]) for source, target in direct(rooms)]
    return "\n".join([_HEAD.format(width=_WIDTH, height=round(y - _GAP + _PAD)), *shapes, "</svg>", ""])


def _texts(name: str, packages: list[list[str]], single: list[str], width: float) -> list[tuple[str, str]]:
    titles = [PACKAGES[name]] if name in PACKAGES else list(LOADED)
    lines = [("name", line) for line in _wrapped([f"{title}/" for title in titles], width)]
    for level in packages:
        lines += [("sub", line) for line in _wrapped([f"{each}/" for each in level], width)]
    return lines + [("file", line) for line in _wrapped(single, width)]


def _wrapped(words: list[str], width: float) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and (len(lines[-1]) + 2 + len(word)) * _LETTER <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(word)
    return lines


def _arrow(source: tuple[float, float, float, float], target: tuple[float, float, float, float]) -> str:
    x, y, width, height = source
    left, top, other, _ = target
    start = x + width / 2
    end = min(max(start, left + 2 * _PAD), left + other - 2 * _PAD)
    return f'<path class="arrow" d="M{start:.0f} {y + height:.0f}L{end:.0f} {top - 3:.0f}"/>'


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<style>
svg {{ background: #fff }}
text {{ font: 12px monospace; fill: #223; white-space: pre }}
.name {{ font-weight: bold }} .file {{ fill: #778 }}
.room {{ fill: #eef3fa; stroke: #456 }} .arrow {{ stroke: #456; fill: none; marker-end: url(#tip) }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#456"/></marker></defs>"""


def main() -> int:
    PICTURE.write_text(drawn())
    return 0


if __name__ == "__main__":
    sys.exit(main())
