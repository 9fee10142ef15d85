"""The parameters of OpenAI's image edits."""

from typing import Literal, get_args

from pydantic import ConfigDict, Field

from concord.limits import Limits
from facade.openai.shapes import MAX_PARTIAL_IMAGES, Background, Quality, Shape
from facade.problems import Problem
from facade.wire.forms import ModelForm
from facade.work.pictures import Format, check_format, check_picture

MAX_IMAGES = 4
_AUTO: Literal["auto"] = "auto"
_IGNORED = "accepted, and of no effect"


class EditForm(ModelForm):
    """OpenAI's parameters; their client sends the settings of a model as ``extra_body``."""

    model_config = ConfigDict(populate_by_name=True)

    image: bytes | None = Field(None, description="the composite: JPEG, PNG, WebP, BMP, GIF or TIFF")
    images: list[bytes] = Field([], alias="image[]", description="the same from clients that send a list; one image")
    prompt: str | None = Field(
        None, description="a referring expression that names the part to be harmonized", examples=["the red ball"]
    )
    mask: bytes | None = Field(
        None, description="or an image of the same size with alpha, transparent where that part is; goes before prompt"
    )
    n: int = Field(1, ge=1, le=MAX_IMAGES, description="pictures; several only of a model with a seed, seed after seed")
    size: str = Field(_AUTO, description="auto, or the image's own size: the answer always has that", examples=[_AUTO])
    output_format: Format = Field(
        "png", description="png keeps every pixel outside the part; jpeg and webp lose detail"
    )
    output_compression: int = Field(100, ge=0, le=100, description="quality of jpeg and webp; png takes 100 only")
    response_format: Literal["b64_json"] = Field(
        "b64_json",
        description="b64_json; nothing is kept that a url could name",
        json_schema_extra={"enum": ["b64_json"]},
    )
    partial_images: int = Field(
        0, ge=0, le=MAX_PARTIAL_IMAGES, description="with stream: small pictures of a model on its way, if it shows any"
    )
    background: Background = Field(_AUTO, description="the photograph's own; transparent is refused")
    quality: Quality | Literal["standard"] = Field(
        _AUTO, description=_IGNORED, json_schema_extra={"enum": [*get_args(Quality), "standard"]}
    )
    input_fidelity: Literal["low", "high"] | None = Field(None, description=_IGNORED)
    moderation: Literal["low", "auto"] | None = Field(None, description=_IGNORED)
    complexity: Literal["low", "medium", "high"] | None = Field(None, description=_IGNORED)
    user: str | None = Field(None, description=_IGNORED)
    safety_identifier: str | None = Field(None, description=_IGNORED)

    def photograph(self, limits: Limits) -> bytes:
        """The one image, checked with everything that hangs on it.

        Raises:
            Problem: there is none, or several; or the size, format or compression does not go with it.
            ConcordError: it is no image, or too large.
        """
        given = ([] if self.image is None else [self.image]) + self.images
        if not given:
            raise Problem("missing_field", "image is missing", field="image", allowed="an image file")
        if len(given) > 1:
            raise Problem("duplicate_field", f"{len(given)} images are given", field="image", allowed="one image")
        size = check_picture(given[0], "image", limits)
        check_format(size, self.output_format)
        own = f"{size[0]}x{size[1]}"
        if self.size not in (_AUTO, own):
            raise Problem("invalid_setting", f"{self.size[:40]!r} is not allowed", field="size", allowed=f"auto, {own}")
        if self.output_format == "png" and self.output_compression != 100:
            raise Problem(
                "invalid_setting", "png loses nothing", field="output_compression", allowed="100; or jpeg, webp"
            )
        return given[0]

    @property
    def shape(self) -> Shape:
        """What events repeat."""
        return Shape(self.output_format, self.background, _AUTO if self.quality == "standard" else self.quality)
