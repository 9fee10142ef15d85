"""A task declares its fields once; what people read of it is made of them."""

import pytest

from concord_client import TASKS, Harmonize
from concord_client.tasks.table import HEADER, rows


@pytest.mark.parametrize("request_type", TASKS, ids=lambda task: task.TASK)
def test_every_field_has_a_tensor_and_words_of_its_own(request_type):
    for fields in (request_type.fields(), request_type.answer_type().fields()):
        assert len({field.tensor for field in fields}) == len({field.name for field in fields}) == len(fields)
        assert all(field.about and field.tensor.isupper() for field in fields)
    assert request_type.about().endswith(".")


def test_kind_and_need_of_a_field_follow_from_its_declaration():
    image, text, mask = Harmonize.fields()
    assert [(field.kind, field.required) for field in (image, text, mask)] == [
        ("image", True), ("text", False), ("image", False)
    ]  # fmt: skip
    kinds = {field.name: field.kind for field in Harmonize.answer_type().fields()}
    assert kinds == {
        "image": "image", "mask": "image", "score": "number", "truncated": "boolean", "seed": "integer"
    }  # fmt: skip


def test_the_table_has_a_row_for_each_field():
    fields = sum(len(task.fields()) + len(task.answer_type().fields()) for task in TASKS)
    assert len(rows()) == fields and all(len(row) == len(HEADER) for row in rows())
    assert ["segment", "`SCORE`", "`score`", "answer", "a number"] in [row[:5] for row in rows()]
