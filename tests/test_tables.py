"""The tables of docs/ are those of the declarations."""

from docs import tensors


def test_the_tables_of_pipelines_and_tensors_are_those_of_the_configurations_and_tasks() -> None:
    page = tensors.PAGE.read_text()
    assert page == tensors.written(page), "run: python -m docs.tensors"
