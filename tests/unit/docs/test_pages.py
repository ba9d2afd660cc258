"""Links lead somewhere, commands exist, decisions are numbered without holes."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway.server.cli.main import COMMANDS
from tests.unit.docs.pages import DOCS, ROOT

PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / "issuernetwork").glob("*.md"),
        *(ROOT / "proto").glob("*.md"),
        ROOT / "README.md",
    ]
)
ids = [str(path.relative_to(ROOT)) for path in PAGES]


def anchors(page: Path) -> set[str]:
    """Headings, as the links to them are written."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.S)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_to_a_file_and_heading_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(linked), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_path_of_the_repository_that_is_named_is_there(page: Path) -> None:
    named = re.findall(
        r"`((?:docs|deploy|gateway|tests|proto|scripts|examples|enrichment)/[\w./-]+)`", prose(page)
    )
    # Full counts are written there by `make prove-full`.
    missing = [name for name in named if not (ROOT / name).exists() and not name.startswith("docs/evidence")]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_and_command_that_is_named_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^|\$ )make ([a-z-]+)", text, re.M)) <= targets
    said = set(re.findall(r"(?:`|\$ |^)ein ([a-z-]+)", text, re.M))
    assert said <= set(COMMANDS)


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = (DOCS / "README.md").read_text()
    pages = [*DOCS.glob("*.md"), *(DOCS / "reference").glob("*.md")]
    missing = [path.name for path in pages if path.name not in index and path.name != "README.md"]
    assert not missing


def test_decisions_are_numbered_without_holes_and_say_their_number() -> None:
    files = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    for number, path in enumerate(files, start=1):
        text = path.read_text()
        assert text.startswith(f"# {number}. ")
        for part in ("Context", "Choice", "Cost", "What would change our mind"):
            assert f"**{part}.**" in text, f"{path.name} has no {part}"


def test_the_pages_are_known_to_git_so_that_a_clone_has_them() -> None:
    known = subprocess.run(
        ["git", "ls-files", "docs", "examples", "issuernetwork/README.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {"docs/quickstart.md", "docs/README.md", "examples/payment_service.py"} <= set(known)


def test_the_layout_names_every_folder_of_the_tree_and_none_that_is_not_there() -> None:
    tree = re.findall(r"^```\n(.*?)^```", (DOCS / "layout.md").read_text(), re.M | re.S)[0]
    named = {name for line in tree.splitlines() for name in re.findall(r"^(?:[a-z/]+/ ?)+", line)[0].split()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {
        f"{part[0]}/{part[1]}/" if part[0] == "gateway" else f"{part[0]}/"
        for part in (line.split("/") for line in listed.splitlines())
        if len(part) > (2 if part[0] == "gateway" else 1)
    }
    unmapped = {"docs/", "requirements/", "scripts/", ".ci/"}  # what their names say
    assert {name.replace("backends/embedded/", "backends/") for name in named} == folders - unmapped
