"""Loops of latent diffusion that harmonize a part which is given by a mask, or named by a text."""

from concord.edges import EDGES, SOFT, Part
from concord.errors import InvalidSetting
from concord.images import DecodedImage
from concord.limits import Limits
from concord.loops.host import Host, Sample
from concord.loops.latent_harmonizer import LatentHarmonizer
from concord.loops.request import LoopRequest
from concord.masks import binary, decode_grey, decode_mask


class PartHarmonizer(LatentHarmonizer):
    """Has a mask, or has the part found that a text names.

    Inputs: IMAGE, and one of MASK and TEXT. Outputs: HARMONIZED, a PNG; for a text also what the part ``segment``
    found: MASK, SCORE and TRUNCATED. Part, besides those of `LatentHarmonizer`: ``segment``, for a text.
    """

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        given = [name for name in ("MASK", "TEXT") if name in request.inputs]
        if len(given) != 1:
            found = "both MASK and TEXT are given" if given else "neither MASK nor TEXT is given"
            raise InvalidSetting("MASK", found, "exactly one of MASK and TEXT")

    async def given_part(self, image: DecodedImage) -> tuple[Part, Sample]:
        """The part, and what was found where a text names it; tells the client that step 0 is done."""
        inputs, size = self.request.inputs, image.pixels.shape[:2]
        if "MASK" in inputs:
            mask = await self.host.compute(decode_mask, await self.cheap_file("MASK"), *size, self.limits)
            await self.report(0)
            return await self.part(image, mask, found=False), {}
        await self.report(0)
        edges = self.request.settings[EDGES]
        asked = {"IMAGE": inputs["IMAGE"], "TEXT": inputs["TEXT"], EDGES: edges.encode()}
        found = await self.host.ask(self.request.models["segment"], asked, ("MASK", "SCORE", "TRUNCATED"))
        # Fitted already; grey where it is soft.
        grey = await self.host.compute(decode_grey, found["MASK"], *size, self.limits)
        return Part(binary(grey), grey if edges == SOFT else None), found
