"""What every request to a model may say; the settings that the catalogue declares are further fields of the form."""

from pydantic import BaseModel, ConfigDict, Field

from facade.settings import LONGEST


class ModelForm(BaseModel):
    """Which model is asked, and for how long."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str | None = Field(None, description="its name, see /v1/models; by default the first that takes the fields")
    timeout: float | None = Field(
        None, gt=0, le=LONGEST, allow_inf_nan=False, description="seconds, time in the queue included"
    )

    @property
    def settings(self) -> dict[str, str]:
        """The model's settings as they were written, by name."""
        return self.model_extra or {}
