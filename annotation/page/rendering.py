"""HTML from templates, in the language that a browser likes, and nothing that comes from elsewhere."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from annotation.page.words import LANGUAGES
from facade.page.languages import Language, language_of

FOLDER = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
_TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def language(request: Request) -> Language:
    """The one that the browser likes most."""
    return language_of(request.headers.get("accept-language", ""), LANGUAGES)


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page from a template, which finds `say` for its sentences; it is kept nowhere."""
    name = getattr(getattr(request.state, "annotator", None), "name", "")
    made = _TEMPLATES.get_template(template).render(values, say=language(request), annotator=name)
    headers = {**SAFE, "Cache-Control": "no-store", "Vary": "Accept-Language"}
    return HTMLResponse(made, status, headers)


async def style(_request: Request) -> Response:
    """The style of all pages."""
    return FileResponse(FOLDER / "style.css", headers={**SAFE, "Cache-Control": "no-cache"})


async def script(_request: Request) -> Response:
    """Keys, and drafts."""
    return FileResponse(FOLDER / "script.js", headers={**SAFE, "Cache-Control": "no-cache"})
