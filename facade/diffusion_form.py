"""The fields of a form that say how a diffusion is to work."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from concord.loops.request import DECODERS, MAX_TIMEOUT, RESOLUTIONS
from concord.noise import MAX_SEED
from concord.samplers import MAX_STEPS, SAMPLERS
from concord_client import Diffusion
from facade.wire.forms import one_of

_SETTINGS = ("seed", "steps", "sampler", "resolution", "decoder", "refine")


class DiffusionForm(BaseModel):
    """What may be asked of ``diffharmony``, and of no other model; and how long a request may take."""

    model_config = ConfigDict(frozen=True)

    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="of the noise; the same seed gives the same picture")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="of the diffusion")
    sampler: Annotated[str, one_of(tuple(SAMPLERS))] | None = Field(
        None, description="of the diffusion", json_schema_extra={"enum": list(SAMPLERS)}
    )
    resolution: Annotated[int, one_of(RESOLUTIONS)] | None = Field(
        None, description="side of the square that is diffused", json_schema_extra={"enum": list(RESOLUTIONS)}
    )
    decoder: Annotated[str, one_of(DECODERS)] | None = Field(
        None, description="of the diffusion", json_schema_extra={"enum": list(DECODERS)}
    )
    refine: bool | None = Field(None, description="whether the refinement network follows")
    timeout: float | None = Field(
        None, gt=0, le=MAX_TIMEOUT, allow_inf_nan=False, description="seconds, waiting in the queue included"
    )

    def diffusion(self, *, preview: bool | None = None) -> Diffusion | None:
        """The settings; None where none is given."""
        given = {name: getattr(self, name) for name in _SETTINGS if getattr(self, name) is not None}
        if preview is not None:
            given["preview"] = preview
        return Diffusion(**given) if given else None
