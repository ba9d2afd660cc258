"""Documents are read as they stand in a folder: through links, without what is hidden, never half of two."""

import os
from pathlib import Path

import pytest

from gateway.programs.documents import load_policy
from gateway.programs.issues import PolicyInvalid
from gateway.server import policy
from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY

SAMPLE = read_policy(SAMPLE_POLICY)


def mount(folder: Path, generation: str, files: dict[str, str]) -> None:
    """As a ConfigMap is mounted: all of it behind one link, which is changed at once."""
    for name, text in files.items():
        path = folder / f"..{generation}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    fresh = folder / "..data_tmp"
    fresh.symlink_to(f"..{generation}")
    fresh.rename(folder / "..data")
    for top in {name.partition("/")[0] for name in files}:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(Path("..data") / top)


def test_a_mounted_configmap_reads_as_the_folder_that_it_was_made_of(tmp_path: Path) -> None:
    mount(tmp_path, "2026_11_20", SAMPLE)
    assert read_policy(tmp_path) == SAMPLE
    changed = {**SAMPLE, "regions.yaml": SAMPLE["regions.yaml"].replace("  DE:", "  AT:")}
    mount(tmp_path, "2026_11_21", changed)
    assert read_policy(tmp_path) == changed


def test_a_folder_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(tmp_path, "1", SAMPLE)
    changed = {**SAMPLE, "regions.yaml": "other\n", "merchants.yaml": "other\n"}
    read_once = policy._read_once
    reads: list[dict[str, str]] = []

    def swapped(directory: Path) -> dict[str, str]:
        reads.append(read_once(directory))
        if len(reads) == 1:
            mount(tmp_path, "2", changed)
        return reads[-1]

    monkeypatch.setattr(policy, "_read_once", swapped)
    assert read_policy(tmp_path) == changed
    assert len(reads) == 2


def test_what_is_hidden_is_no_document_and_what_is_misplaced_is_a_mistake(tmp_path: Path) -> None:
    for name in (".git/a.yaml", ".#regions.yaml", "regions.yaml", "a/b/c.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x: 1\n")
    assert set(read_policy(tmp_path)) == {"regions.yaml", "a/b/c.yaml"}
    with pytest.raises(PolicyInvalid, match=r"a/b/c\.yaml: no document has this place"):
        load_policy(read_policy(tmp_path))


def test_links_that_go_round_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "regions.yaml").write_text("x: 1\n")
    os.symlink(tmp_path, tmp_path / "again")
    assert len(read_policy(tmp_path)) == policy.MAX_DEPTH + 1
