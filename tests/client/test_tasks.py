"""A task declares its fields once; what people read of it is made of them."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from concord_client import TASKS, Answer, Edit, Edited, Harmonize, Request
from concord_client.commands.task import TaskCommand
from concord_client.tasks.fields import Encoded, received, sent
from concord_client.tasks.table import HEADER, rows
from tests.client.kserve import config


@dataclass(frozen=True)
class Painted(Answer):
    image: bytes = received("PAINTED", "the picture")
    colours: tuple[int, ...] = received("BOX", "what was used", printed=True)


@dataclass(frozen=True)
class Paint(Request[Painted]):
    """Paints a picture of a text.

    There is more to say of it.
    """

    TASK: ClassVar[str] = "paint"

    text: str = sent("TEXT", "what is painted")
    style: Encoded | None = sent("STYLE", "a picture in the style", default=None)


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


def test_an_edited_photograph_may_come_with_others_and_their_scores():
    alone = Edited.of({"EDITED": np.array([[b"a picture"]], object), "SEED": np.array([[7]])})
    assert alone == Edited(b"a picture", candidates=(), scores=None, truncated=False, seed=7)
    several = {"CANDIDATES": np.array([[b"one", b"another"]], object), "SCORES": np.array([[0.5, 0.25, 0.125]])}
    best = Edited.of({"EDITED": np.array([[b"a picture"]], object), **several})
    assert (best.candidates, best.scores) == ((b"one", b"another"), (0.5, 0.25, 0.125))
    kinds = {field.name: field.kind for field in Edit.answer_type().fields()}
    assert (kinds["candidates"], kinds["scores"]) == ("images", "numbers")


def test_the_table_has_a_row_for_each_field():
    fields = sum(len(task.fields()) + len(task.answer_type().fields()) for task in TASKS)
    assert len(rows()) == fields and all(len(row) == len(HEADER) for row in rows())
    assert ["segment", "`SCORE`", "`score`", "answer", "a number"] in [row[:5] for row in rows()]


@pytest.mark.parametrize("style", [None, b"a style"])
def test_a_command_follows_from_the_fields_of_a_task(grpc_kserve, tmp_path, capsys, style):
    grpc_kserve.configs.append(config("painting", "TEXT", outputs=("PAINTED", "BOX"), task="paint", model="painter"))
    grpc_kserve.answers |= {"PAINTED": b"a picture", "BOX": bytes([7, 0, 0, 0, 9, 0, 0, 0])}
    command, parser = TaskCommand(Paint), argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "out.png"
    arguments = ["--text", "bear", "-o", str(out), "--url", grpc_kserve.url]
    if style is not None:
        grpc_kserve.configs[-1]["input"].append({"name": "STYLE", "data_type": "TYPE_STRING", "dims": ["1"]})
        Path(tmp_path / "style.png").write_bytes(style)
        arguments += ["--style", str(tmp_path / "style.png")]
    assert command.run(parser.parse_args(arguments, argparse.Namespace(unknown=[]))) == 0
    assert (out.read_bytes(), capsys.readouterr().out) == (b"a picture", "colours 7 9\n")
    sent_inputs = {"TEXT": b"bear"} | ({} if style is None else {"STYLE": style})
    assert grpc_kserve.received == [("painting", sent_inputs, ["PAINTED", "BOX"])]
    assert command.HELP == "Paints a picture of a text." and "concord paint --text" in command.DESCRIPTION
