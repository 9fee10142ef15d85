"""What the events of a request tell while it is answered."""

import base64

from pydantic import BaseModel, Field

from facade.wire.events import Emit
from facade.work.service import OnEvent, Queued, Stepped


class QueuedEvent(BaseModel):
    """``queued``: the first event, and whenever the place changes."""

    job: str = Field(description="the id under which it can be cancelled")
    position: int = Field(description="1 for the next to go, 0 when the wait is over")


class StepEvent(BaseModel):
    """``step``: how far a model is that works in steps."""

    step: int = Field(description="steps done")
    total: int = Field(description="steps in all")


class PreviewEvent(BaseModel):
    """``preview``: what there is so far."""

    step: int
    total: int
    image: str = Field(description="a small JPEG, in base64")


EVENTS: dict[str, type[BaseModel]] = {"queued": QueuedEvent, "step": StepEvent, "preview": PreviewEvent}
"""By their names in a stream."""


def teller(emit: Emit, job: str) -> OnEvent:
    """Emits what happens to a request."""

    def tell(event: Queued | Stepped) -> None:
        match event:
            case Queued(position):
                emit("queued", QueuedEvent(job=job, position=position))
            case Stepped(step, total, preview):
                emit("step", StepEvent(step=step, total=total))
                if preview is not None:
                    image = base64.b64encode(preview).decode()
                    emit("preview", PreviewEvent(step=step, total=total, image=image))

    return tell
