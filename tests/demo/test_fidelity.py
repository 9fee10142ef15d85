"""The demo that shows what the transfer keeps runs, on a loop that runs in its own process."""

import inspect

import numpy as np
from PIL import Image
from tritonclient.grpc import InferenceServerClient

from concord.loops.host import Host
from demo.fidelity import PICTURES, SUBJECTS, ServerHost, compare, decoding_pipeline


def test_its_host_has_all_that_a_loop_asks_of_one():
    asked = [name for name in vars(Host) if not name.startswith("_")]
    assert set(asked) >= {"ask", "compute", "report", "stepping"}
    for name in asked:
        parameters = [list(inspect.signature(getattr(host, name)).parameters) for host in (Host, ServerHost)]
        assert parameters[0] == parameters[1], name


def test_a_subject_is_decoded_and_transferred(diffusing, tmp_path):
    with InferenceServerClient(diffusing.grpc_url) as client:
        row = compare(client, decoding_pipeline(diffusing), SUBJECTS[0], 256, tmp_path)
    assert row["subject"] == "face"
    # The photograph's own pixels, but for those that the subject's new light has changed inside the mask.
    assert row["transferred"]["outside"] == 0 < row["decoded"]["outside"]
    assert all(np.isfinite([*row[name].values()]).all() for name in PICTURES)
    crops = np.asarray(Image.open(tmp_path / "face.png"))
    assert crops.shape[1] > 4 * SUBJECTS[0].axes[0] and crops.std() > 1
