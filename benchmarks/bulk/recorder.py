"""A model that answers an image with itself, and writes down each time that it was asked."""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from benchmarks.load.identity_model import write_instant

MODEL = "recording"
_ANSWER = "    def answer(self, request):\n"
_BATCH = "max_batch_size: 32"
_RECORDED = """        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        encoded = image.item()
        with open(RECORD, "ab") as file:
            file.write((sha256(encoded).hexdigest() + "\\n").encode())
        try:
            open_image(encoded, Limits(), "IMAGE")
        except ConcordError as error:
            refused = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=refused)
"""
_IMPORTS = """from hashlib import sha256

from concord.errors import ConcordError
from concord.images import open_image
from concord.limits import Limits
"""


def write_recording(repository: Path, record: Path, seconds: float) -> None:
    """Writes the model into a folder of models: one request at a time, of so many seconds."""
    write_instant(repository, MODEL, seconds)
    code, config = repository / MODEL / "1" / "model.py", repository / MODEL / "config.pbtxt"
    text, declared = code.read_text(), config.read_text()
    assert _ANSWER in text and _BATCH in declared
    code.write_text(_IMPORTS + text.replace(_ANSWER, _ANSWER + _RECORDED.replace("RECORD", repr(str(record)))))
    config.write_text(declared.replace(_BATCH, "max_batch_size: 1"))


def asked(record: Path) -> Counter[str]:
    """How often each image was asked for, by `named`."""
    return Counter(record.read_text().split())


def named(image: bytes) -> str:
    """What an image is called there."""
    return sha256(image).hexdigest()


def numbered(images: Iterable[int], image: bytes) -> dict[int, bytes]:
    """JPEG files of one picture that are different files: what comes after the picture's end is not read."""
    return {number: image + number.to_bytes(4, "big") for number in images}
