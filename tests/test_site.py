"""The documentation site: what it contains, and that it needs nothing from other hosts."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

import hifill
import zoom_to_inpaint

pytestmark = pytest.mark.default_environment
ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGURATION = (ROOT / "zensical.toml").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
PAGES = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))


def test_every_page_is_in_the_navigation_once():
    assert sorted(re.findall(r'"([^"]+\.md)"', CONFIGURATION)) == PAGES


def test_the_configuration_asks_for_nothing_from_other_hosts():
    """Zensical's defaults are fonts of another host and a link to its own."""
    assert "\nfont = false\n" in CONFIGURATION and "\ngenerator = false\n" in CONFIGURATION
    assert "//" not in CONFIGURATION
    assert "[project.plugins.offline]" not in CONFIGURATION  # loads a script from a CDN


@pytest.mark.parametrize("package", [hifill, zoom_to_inpaint])
def test_every_public_name_is_described(package):
    for name in package.__all__:
        assert f"`{package.__name__}.{name}`" in API, name


@pytest.mark.parametrize("target", re.findall(r"^::: (\S+)$", API, re.MULTILINE))
def test_what_is_described_is_defined_there(target):
    module, _, name = target.rpartition(".")
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert re.search(rf"^(?:class|def) {name}\b", source, re.MULTILINE)


class Page(HTMLParser):
    """What a page loads, where its links lead, and the anchors it has."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        else:
            self.loads += [
                attrs[key] for key in ("src", "srcset", "href", "data") if attrs.get(key)
            ]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built from the working tree into another place."""
    if not importlib.util.find_spec("zensical"):
        pytest.skip("zensical is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)  # Zensical would follow a link, and build there
    for name in ("common", "hifill", "zoom_to_inpaint"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    plain = {**os.environ, "NO_COLOR": "1"}
    built = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def test_pages_load_nothing_from_other_hosts_and_their_links_lead_somewhere(site):
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert {site / pathlib.Path(name).with_suffix(".html") for name in PAGES} <= set(pages)
    for path, page in pages.items():
        for target in (*page.loads, *page.links):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                assert target in page.links and parts.scheme == "https", f"{path}: {target}"
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if place.is_dir():
                place /= "index.html"
            assert place.exists() or path.name == "404.html", f"{path}: {target}"
            if place in pages:
                assert unquote(parts.fragment) in pages[place].anchors, f"{path}: {target}"


def test_the_api_has_the_docstrings(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    assert ":::" not in text
    assert "Fills the hole of one photograph of any size" in text
