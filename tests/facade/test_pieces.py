"""JSON with pictures in it is the same whether it is made at once or in pieces."""

import pytest
from pydantic import BaseModel

from facade.wire.pieces import SIZE, Base64, Pieces, sliced


class Shown(BaseModel):
    """Pictures among words."""

    words: str
    first: Base64
    others: list[Base64] = []
    last: Base64 | None = None


@pytest.mark.parametrize("size", [0, 1, 2, 3, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE + 2])
def test_pieces_are_those_of_the_whole(size):
    told = Shown(words='"é\\', first=b"\xff" * size, others=[b"", bytes(size), b"x" * 7], last=b"end")
    pieces = Pieces.of(told)
    assert b"".join(pieces).decode() == told.model_dump_json()
    assert len(pieces) == len(told.model_dump_json().encode())
    assert max(map(len, pieces)) <= max(SIZE * 4 // 3, len(pieces.texts[0]))


def test_what_is_not_there_is_left_out_and_a_frame_is_put_around():
    pieces = Pieces.of(Shown(words="a", first=b"b"), lambda json: f"<{json}>".encode(), exclude_none=True)
    assert b"".join(pieces) == b'<{"words":"a","first":"Yg==","others":[]}>'


def test_slices_are_the_content():
    content = bytes(range(256)) * 2000
    assert b"".join(sliced(content)) == content and list(sliced(b"")) == []
