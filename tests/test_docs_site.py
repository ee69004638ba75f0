"""The documentation builds without a warning, and every link and picture of it is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from readme import ROOT

for package in ("sphinx", "myst_nb", "furo", "numpydoc", "sphinx_copybutton"):
    pytest.importorskip(package)

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = {""}
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical",):
            self.loaded.append(values["href"])
        elif "src" in values:
            self.loaded.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Page]:
    """Build the site with warnings as errors, and read it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d"]
    built = subprocess.run(
        [*command, str(folder / "cache"), str(DOCS), str(folder / "html")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = {file: Page(file) for file in (folder / "html").rglob("*.html")}
    assert len(pages) > 60
    return pages


def test_links_lead_to_a_page_and_a_place_in_it(site):
    broken = []
    for file, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if target not in site:
                wrong = not target.exists()
            else:
                wrong = unquote(parts.fragment) not in site[target].places
            if wrong:
                broken.append(f"{file.name}: {link}")
    assert not broken


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_missing(site):
    for file, page in site.items():
        for address in page.loaded:
            parts = urlsplit(address)
            if parts.scheme != "data":
                assert not parts.scheme, f"{file.name} loads {address}"
                assert not parts.netloc, f"{file.name} loads {address}"
                assert (file.parent / unquote(parts.path)).exists(), f"{file.name}: {address}"


def test_pictures_have_a_text_in_their_place():
    for page in DOCS.rglob("*.md"):
        assert "![](" not in page.read_text("utf-8"), page
        for text in re.findall(r"!\[([^\]]*)\]\(", page.read_text("utf-8")):
            assert len(text) > 10, f"{page}: {text!r}"


def test_formulas_and_equations_are_there(site):
    text = {file.stem: file.read_text("utf-8") for file in site if file.parent.name == "concepts"}
    assert "math notranslate" in text["softmax"]
    assert 'class="equation highlight-none' in text["pooling"]
    assert "average of the k×k window around each pixel − x" in text["pooling"]
    assert "(|Δy|, |Δx|)" in text["attention"]


def test_every_layer_and_every_notebook_has_its_page(site):
    names = {file.stem for file in site}
    layers = {file.stem for file in (ROOT / "npformer/layers").glob("*.py")}
    notebooks = {file.stem for file in (ROOT / "notebooks").glob("*.ipynb")}
    assert layers - {"__init__", "arrays"} <= names
    assert notebooks <= names


def test_the_search_finds_words_of_the_text(site):
    folder = next(file for file in site if file.name == "search.html").parent
    index = (folder / "searchindex.js").read_text("utf-8")
    for word in ("pool", "attent", "espresso", "safetensor"):  # stems
        assert f'"{word}' in index


@pytest.fixture(scope="module")
def browse(site, tmp_path_factory):
    """Open a page in a browser, and return what it holds once all scripts have run."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    folder = next(file for file in site if file.name == "search.html").parent
    profile = tmp_path_factory.mktemp("profile")
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        "--virtual-time-budget=10000", f"--user-data-dir={profile}", "--dump-dom",
    ]  # fmt: skip

    def visit(page: str) -> str:
        address = f"http://127.0.0.1:{server.server_port}/{page}"
        seen = subprocess.run(
            [*command, address], capture_output=True, text=True, check=True, timeout=300
        )
        assert "CONSOLE" not in seen.stderr, seen.stderr
        return seen.stdout

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))
    ) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield visit
        server.shutdown()


def test_a_browser_searches_and_sets_formulas(browse):
    assert re.search(r"found \d+ pages", browse("search.html?q=espresso"))
    for page in ("concepts/softmax.html", "notebooks/02_norms.html"):
        text = browse(page)
        written = len(re.findall(r'class="math ', text))
        assert 0 < written <= text.count("<mjx-container")
        assert "<mjx-merror" not in text


def test_the_tables_of_names_are_those_of_the_rules(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import name_tables

    page = name_tables.PAGE.read_text("utf-8")
    assert name_tables.renewed(page) == page, "run python docs/name_tables.py"


def test_the_pictures_are_those_that_the_script_makes(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(DOCS))
    import pictures

    assert {file.name for file in (DOCS / "pictures").iterdir()} == set(pictures.PICTURES)
