"""The rooms of the code import downwards only, and the picture of them is the code's."""

from pathlib import Path

import pytest

from docs.rooms import PAGE, circles, imports, merged, modules, room, sub_rooms, written

MAY_IMPORT = {
    "concord_client": set(),
    "concord": {"concord_client"},
    "models": {"concord"},
    "facade": {"concord", "concord_client"},
    "annotation": {"concord", "concord_client", "facade"},
    "export": {"concord", "concord_client"},
    "deploy": {"concord"},
    "demo": {"concord", "concord_client", "facade", "export"},
    "benchmarks": {"concord", "concord_client", "facade", "annotation", "export"},
}
FILES = modules()
GRAPH = imports(FILES)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(name: str) -> None:
    rooms = merged(GRAPH, {module: room(module) for module in FILES})
    assert rooms.keys() == MAY_IMPORT.keys()
    assert rooms[name] <= MAY_IMPORT[name]


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_no_two_sub_rooms_of_a_room_import_each_other(name: str) -> None:
    assert circles(merged(GRAPH, sub_rooms(FILES, name))) == []


def test_the_picture_is_drawn_from_the_code() -> None:
    page = PAGE.read_text()
    assert page == written(page), "run: python -m docs.rooms"


def test_an_import_inside_a_function_is_an_arrow_and_a_circle_is_found(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.py" for name in ("first", "second", "third"))
    first.write_text("from second import value\n")
    second.write_text("def value() -> int:\n    import first\n    return first.x\n")
    third.write_text("import second\n")
    graph = imports({"first": first, "second": second, "third": third})
    assert graph == {"first": {"second"}, "second": {"first"}, "third": {"second"}}
    assert circles(graph) == [["first", "second"]]
