"""The pages of the documentation: every link leads somewhere, every flag of a command exists."""

import functools
import pathlib
import re

import pytest

from mosaic.config import CONFIGS

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@functools.cache
def _anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in _anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_flags_that_exist(page):
    shared = (ROOT / "mosaic" / "cli" / "flags.py").read_text()
    text = page.read_text().replace("\\\n", " ")
    for door, arguments in re.findall(r"(\w+)\.py((?: +[^\s`|]+)*)", text):
        source = ROOT / f"{door}.py"
        for flag in re.findall(r"--(\w+)", arguments) if source.exists() else ():
            known = source.read_text() + shared
            assert flag == "gin" or re.search(rf'"{flag}"', known), f"{door}.py --{flag}"
        for name in re.findall(r"--gin_file=(\w+)(?![\w/.])", arguments):
            assert name.isupper() or (CONFIGS / f"{name}.gin").exists(), name
