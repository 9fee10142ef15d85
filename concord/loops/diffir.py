"""The loop of DiffIR: a hole is filled in one call, whose steps of diffusion are in the network's graph."""

from concord.arrays import Floats, Pixels
from concord.loops.host import ask_network
from concord.loops.inpainter import Inpainter

PRIOR = 256
"""Numbers of the prior that the diffusion begins with as noise."""


class DiffIR(Inpainter):
    """Settings, besides those of `Inpainter`: SEED, of the prior's noise. Part: ``network``.

    The network restores what is likeliest, and its error in colour is smooth, so that a membrane takes it back.
    """

    multiple = 8
    deep = True

    async def draw(self, picture: Pixels, hole: Pixels) -> Floats:
        """See `Inpainter`."""
        given = {"PICTURE": picture, "HOLE": hole, "PRIOR_NOISE": self.noise.draw(0, (PRIOR,))}
        return await ask_network(self.host, self.request.models["network"], given, "DRAWN", "drawing")
