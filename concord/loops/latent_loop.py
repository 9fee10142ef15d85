"""What every loop of latent diffusion has."""

from collections.abc import Awaitable, Callable

from concord.arrays import Floats
from concord.loops.host import Sample, ask_network
from concord.loops.latent import draw_preview
from concord.loops.loop import Loop


class LatentLoop(Loop):
    """Asks networks by their role, and tells of its steps. Part, if the request needs it: ``preview``."""

    faster = "fewer STEPS or a smaller RESOLUTION"

    async def ask(self, role: str, inputs: Sample, doing: str, output: str = "SMALL_RESULT") -> Floats:
        """The one output of a part's network; ``doing`` says in words what for."""
        return await ask_network(self.host, self.request.models[role], inputs, output, doing)

    def telling(self, height: int, width: int) -> Callable[[int, Floats], Awaitable[None]]:
        """Reports a step with its estimate, drawn in the aspect of these sides if previews are wanted."""
        models = self.request.models

        async def tell(step: int, estimate: Floats) -> None:
            shows = "preview" in models
            preview = await draw_preview(self.host, models["preview"], estimate, width / height) if shows else b""
            await self.report(step, preview)

        return tell
