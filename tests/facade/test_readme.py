"""What the README and the pages of docs/ tell a reader to type at the facade works."""

from pathlib import Path

import pytest

from tests.facade.running import Facade
from tests.test_readme import run_snippet, snippets


@pytest.mark.parametrize(("kind", "snippet"), snippets("test: facade"))
def test_a_snippet_of_a_page_runs_as_printed(kind: str, snippet: str, facade: Facade, tmp_path: Path) -> None:
    run_snippet(kind, snippet, {"localhost:8080": f"{facade.host}:{facade.port}"}, tmp_path)


def test_the_pages_show_curl_and_the_openai_package() -> None:
    shown = [each.values for each in snippets("test: facade")]
    assert any(kind == "shell" and "curl " in snippet for kind, snippet in shown)
    assert any(kind == "python" and "from openai import" in snippet for kind, snippet in shown)
