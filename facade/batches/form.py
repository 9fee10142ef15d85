"""What a request for a batch holds."""

from functools import partial
from typing import Annotated

from pydantic import Field, WithJsonSchema

from concord_client.expressions import Expressions
from facade.batches.archive import Archive, Bounds
from facade.batches.batch import Photograph, photographs
from facade.openapi import BINARY
from facade.problems import Problem
from facade.settings import Settings
from facade.wire.forms import NamedFile, PictureForm

_MAX_EXPRESSIONS = 2**20
"""Bytes: what Python makes of a line is many times as large."""


class BatchForm(PictureForm):
    """Photographs, and what is asked for all of them."""

    images: list[Annotated[NamedFile, WithJsonSchema(BINARY)]] = Field(
        [], description="the photographs and their masks, each with its file name"
    )
    archive: bytes | None = Field(None, description="or all of them in a zip file")
    text: str | None = Field(
        None, description="names the part, in photographs that have no mask of their own", examples=["the red ball"]
    )
    expressions: bytes | None = Field(
        None, description='or JSON lines, {"image": NAME, "text": WORDS}, with a text for each of these photographs'
    )
    stream: bool = Field(False, description="server-sent events instead of a zip file")

    def photographs(self, settings: Settings) -> tuple[list[Photograph], dict[int, str]]:
        """What was sent, of which nothing is decoded or unpacked yet, and what is wrong with lines of the expressions.

        Raises:
            Problem: nothing, too much, or both ways at once; or none has a mask and there is no text.
            ConcordError: the archive cannot be read, or is larger than it may be.
        """
        if (self.archive is None) == (not self.images):
            both = "both images and archive are given" if self.images else "neither images nor archive is given"
            code = "invalid_setting" if self.images else "missing_field"
            raise Problem(code, both, field="images", allowed="images or archive")
        texts = None if self.expressions is None else self._read_expressions()
        if self.archive is None:
            found = photographs(((file.name, partial(bytes, file.content)) for file in self.images), texts)
        else:
            most = settings.max_batch_images
            archive = Archive(self.archive, Bounds(2 * most, settings.max_batch_bytes, settings.max_bytes))
            found = photographs(((name, partial(archive.read, name)) for name in archive.names), texts)
        if len(found) > settings.max_batch_images:
            allowed = f"at most {settings.max_batch_images} photographs"
            raise Problem("request_too_large", f"{len(found)} photographs", field="images", allowed=allowed)
        if self.text is None and not any(each.mask or each.text for each in found):
            allowed = "text, expressions, or NAME_mask.png"
            raise Problem("missing_field", "there is neither a text nor a mask", field="text", allowed=allowed)
        return found, {} if texts is None else texts.unmatched({each.name for each in found})

    def _read_expressions(self) -> Expressions:
        assert self.expressions is not None
        if len(self.expressions) > _MAX_EXPRESSIONS:
            allowed = f"at most {_MAX_EXPRESSIONS} bytes"
            raise Problem("request_too_large", "expressions is too large", field="expressions", allowed=allowed)
        return Expressions.parse(self.expressions)
