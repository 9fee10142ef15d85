"""The pipelines of repositories on disk."""

import pytest

from concord.errors import ServerFailure
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES

PIPELINE = """backend: "python"
input [ { name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] } ]
parameters { key: "task" value { string_value: "TASK" } }
parameters { key: "model" value { string_value: "MODEL" } }
"""


def write(folder, name, task="upscale", model="big"):
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(PIPELINE.replace("TASK", task).replace("MODEL", model))


def test_the_project_declares_its_tasks():
    assert set(catalogue(MODEL_REPOSITORIES).tasks) >= {"segment", "harmonize"}


def test_what_is_not_served_is_not_there(tmp_path):
    write(tmp_path, "one")
    write(tmp_path, "two", model="small")
    assert catalogue([tmp_path]).models("upscale") == ("big", "small")
    assert catalogue([tmp_path], missing={"one"}).models("upscale") == ("small",)


def test_a_declaration_that_cannot_be_read_names_file_and_parameter(tmp_path):
    write(tmp_path, "one", task="no task")
    with pytest.raises(ServerFailure, match=r"one/config\.pbtxt: task: is 'no task'; allowed: a name of letters"):
        catalogue([tmp_path])


def test_two_pipelines_that_claim_the_same_are_named(tmp_path):
    write(tmp_path, "one")
    write(tmp_path, "two")
    with pytest.raises(ServerFailure, match=r"two/config\.pbtxt: model: one claims upscale by big"):
        catalogue([tmp_path])
