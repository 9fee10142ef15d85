"""A captioner behind OpenAI's chat completions, as vLLM, llama.cpp, Ollama and many others serve them, too."""

import base64
import json
from typing import Any

import httpx

from annotation.captioner.captioner import CaptionerTrouble
from annotation.picture import Picture

PATH = "chat/completions"
_MOST_BYTES = 2**20
_MOST_TOKENS = 100


class OpenAiCaptioner:
    """Asks a model at a base URL such as ``http://localhost:8000/v1``, with a key where there is one."""

    def __init__(self, url: str, model: str, key: str = "", timeout: float = 30.0) -> None:
        self.name = f"{model} at {httpx.URL(url).host}"
        self._model = model
        self._url = f"{url.rstrip('/')}/{PATH}"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Proxies of the environment are not for addresses that were given.
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=False)

    async def caption(self, picture: Picture, prompt: str) -> str:
        """As `Captioner`."""
        content = [{"type": "text", "text": prompt}, *map(_part, (picture.marked(), picture.crop()))]
        asked = {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": _MOST_TOKENS,
            "temperature": 0,
        }
        try:
            return _words(await self._answer(asked))
        except httpx.TimeoutException:
            raise CaptionerTrouble("timeout", f"{self.name} did not answer in time") from None
        except httpx.HTTPError as error:
            raise CaptionerTrouble("unreachable", f"{self.name} cannot be asked ({type(error).__name__})") from None

    async def close(self) -> None:
        """As `Captioner`."""
        await self._client.aclose()

    async def _answer(self, asked: dict[str, Any]) -> bytes:
        async with self._client.stream("POST", self._url, json=asked) as response:
            if not response.is_success:
                raise CaptionerTrouble("refused", f"{self.name} answered with the status {response.status_code}")
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise CaptionerTrouble("malformed", f"{self.name} answered with more than {_MOST_BYTES} bytes")
            return bytes(body)


def _part(jpeg: bytes) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _words(body: bytes) -> str:
    try:
        words = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        words = None
    if not isinstance(words, str):
        raise CaptionerTrouble("malformed", "the answer is no chat completion with a text")
    return words
