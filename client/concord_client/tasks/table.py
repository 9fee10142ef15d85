"""The tensors of every task as rows of a table, for documentation."""

from concord_client.tasks import TASKS
from concord_client.tasks.fields import Kind, TensorField

HEADER = ("task", "tensor", "field", "of the", "is", "meaning")
_WORDS: dict[Kind, str] = {
    "image": "an encoded image",
    "text": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "numbers": "numbers",
    "images": "encoded images",
}


def rows() -> list[list[str]]:
    """What `HEADER` says of each field of a request and of its answer, task by task."""
    return [
        [request.TASK, f"`{field.tensor}`", f"`{field.name}`", side, _kind(field), field.about]
        for request in TASKS
        for side, fields in (("request", request.fields()), ("answer", request.answer_type().fields()))
        for field in fields
    ]


def _kind(field: TensorField) -> str:
    return _WORDS[field.kind] + ("" if field.required else ", optional")
