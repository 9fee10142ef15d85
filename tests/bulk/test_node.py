"""What a node finds out about a run before any row is asked for."""

from pathlib import Path

from benchmarks.bulk.recorder import MODEL, write_recording
from concord.bulk.node import Node
from concord.bulk.order import Order
from concord.server.embedded import EmbeddedServer
from concord_client.commands import UsageError
from concord_client.errors import ModelNotFound

MASKED = frozenset({"image", "mask"})


def test_a_model_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    write_recording(tmp_path, tmp_path / "record", 0)
    node = Node(Order("in", "out", "harmonize", model="nobody", repositories=(tmp_path,)), None)
    assert str(node.check(MASKED)) == str(ModelNotFound("nobody", (MODEL,)))
    node.stop()


def test_a_server_that_is_there_is_asked_for_models_and_settings(server: EmbeddedServer) -> None:
    def checked(**given: object) -> object:
        return Node(Order("in", "out", "harmonize", url=server.grpc_url, **given), None).check(MASKED)

    assert checked() == {}
    assert isinstance(checked(model="nobody"), ModelNotFound)
    assert isinstance(checked(settings={"edges": "round"}), UsageError)
    assert checked(settings={"edges": "soft"}) == {"edges": "soft"}
