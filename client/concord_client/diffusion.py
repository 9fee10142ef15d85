"""The settings of diffusion models by name, for editors and type checkers; any mapping of settings does as well."""

from dataclasses import asdict, dataclass

from concord_client.settings import SettingValue


@dataclass(frozen=True)
class Diffusion:
    """How a diffusion model is to work; what is None is the server's to choose, and is not sent.

    The server's catalogue says which values each of its models allows.

    Args:
        seed: of the noise; the same seed gives the same picture.
        steps: of denoising.
        sampler: how the noise is taken away.
        resolution: pixels of the side of the square that is denoised; the answer has the photograph's size anyway.
        preview: whether every step brings a small picture of what it has so far.
        decoder: ``harmony`` for the decoder that sees the photograph.
        refine: whether the refinement network follows the decoder.
    """

    seed: int | None = None
    steps: int | None = None
    sampler: str | None = None
    resolution: int | None = None
    preview: bool | None = None
    decoder: str | None = None
    refine: bool | None = None

    def given(self) -> dict[str, SettingValue]:
        """The settings that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}
