"""The loop of AttnGAN (Xu et al., CVPR 2018): a caption to a picture in one pass."""

from concord.loops.host import Sample, ask_network
from concord.loops.loop import Loop
from concord.png import encode_picture

NOISE = 100


class AttnGan(Loop):
    """Input: TEXT. Settings: SEED, and RESOLUTION, one of the network's three. Outputs: GENERATED and TRUNCATED.

    Parts: ``words``, ``text_encoder`` and ``generator``.
    """

    async def answer(self) -> Sample:
        """See `Loop`."""
        models, text = self.request.models, {"TEXT": self.request.inputs["TEXT"]}
        found = await self.host.ask(models["words"], text, ("TOKENS", "LENGTH", "TRUNCATED"))
        tokens = {name: found[name] for name in ("TOKENS", "LENGTH")}
        encoded = await self.host.ask(models["text_encoder"], tokens, ("WORDS", "SENTENCE"))
        noise = {name: self.noise.draw(i, (NOISE,)) for i, name in enumerate(("NOISE", "CONDITION_NOISE"))}
        given = {**encoded, "LENGTH": found["LENGTH"], **noise}
        output = f"PICTURE_{self.request.settings['RESOLUTION']}"
        picture = await ask_network(self.host, models["generator"], given, output, "generating")
        return {"GENERATED": await self.host.compute(encode_picture, picture), "TRUNCATED": found["TRUNCATED"]}
