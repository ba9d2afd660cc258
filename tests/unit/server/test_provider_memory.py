"""What providers remember over a restart: devices and means, in a file that is whole or is not taken."""

from pathlib import Path
from typing import Any

import pytest

from enrichment.providers.device import KNOWN_AFTER_DAYS, DeviceContinuity
from gateway.server.providers import build
from gateway.server.providers.build import Providers, build_providers
from gateway.server.providers.memory import MemoryUnusable, read_memory, write_memory
from gateway.server.providers.settings import ProvidersSettings
from tests.kit.plain_logs import plain_logs
from tests.unit.providers.columns import columns

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
CARD, DEVICE, MERCHANT = 7 << 50, 9 << 40, 11 << 30


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_logs(build, monkeypatch)


def built(folder: Path) -> Providers:
    return build_providers(ProvidersSettings(), folder=folder, copies=folder, memory=folder / "memory")


def say(providers: Providers, day: int, *, device: int = DEVICE, amount: int = 1_000) -> dict[str, Any]:
    """What a payment of that day has from the providers that remember."""
    batch = columns(
        card_key=[CARD], device_key=[device], merchant_key=[MERCHANT], amount_minor=[amount],
        initiated_at_ms=[START_MS + day * DAY_MS], currency=["USD"],
    )  # fmt: skip
    found: dict[str, Any] = {}
    for one in providers.budgeted:
        if one.provider.name in ("device", "amounts"):
            found |= {name: column[0] for name, column in one.provider.fetch(batch).items()}
    return found


def seen_for_some_days(providers: Providers) -> None:
    for day in range(30):
        say(providers, day, device=DEVICE + day % 2)


def test_after_a_restart_ages_and_means_are_as_if_there_had_been_none(tmp_path: Path) -> None:
    whole, first = built(tmp_path / "a"), built(tmp_path)
    for providers in (whole, first):
        seen_for_some_days(providers)
    first.remember()
    again = built(tmp_path)
    for day, device, amount in ((31, DEVICE, 2_500), (32, DEVICE + 77, 500), (40, DEVICE + 77, 1_000)):
        expected = say(whole, day, device=device, amount=amount)
        assert say(again, day, device=device, amount=amount) == expected
        assert None not in expected.values()


def test_without_the_file_everybody_looks_new_to_a_young_memory_and_it_says_so(tmp_path: Path) -> None:
    seen_for_some_days(built(tmp_path))
    again = built(tmp_path)
    assert say(again, 31)["device_on_card_age_days"] is None
    assert [one.provider.lacking for one in again.budgeted if one.provider.name == "device"] == ["warming"]  # type: ignore[attr-defined]


def test_a_memory_goes_on_growing_old_over_a_restart(tmp_path: Path) -> None:
    first = built(tmp_path)
    say(first, 0)
    first.remember()
    again = built(tmp_path)
    assert say(again, KNOWN_AFTER_DAYS, device=DEVICE + 1)["device_on_card_age_days"] == 0


@pytest.mark.parametrize("harm", ["torn", "a byte", "empty", "other"])
def test_a_file_that_is_not_what_was_written_is_not_taken_and_keeps_none_from_starting(
    harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = built(tmp_path)
    seen_for_some_days(first)
    first.remember()
    path = tmp_path / "memory"
    raw = path.read_bytes()
    for at in range(0, len(raw), max(len(raw) // 40, 1)) if harm == "a byte" else (0,):
        path.write_bytes(
            {
                "torn": raw[: len(raw) // 2],
                "a byte": raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :],
                "empty": b"",
                "other": b"PAR1" * 100,
            }[harm]
        )
        device = DeviceContinuity()
        with pytest.raises(MemoryUnusable):
            read_memory(path, [device])
        assert len(device.kept[0]) == 0
    assert say(built(tmp_path), 31)["device_on_card_age_days"] is None


def test_memory_of_another_version_of_a_provider_is_left_out(tmp_path: Path) -> None:
    device = DeviceContinuity()
    device.fetch(columns(card_key=[CARD], device_key=[DEVICE], initiated_at_ms=[START_MS]))
    write_memory(tmp_path / "memory", [device])

    class Newer(DeviceContinuity):
        version = "2"

    other, same = Newer(), DeviceContinuity()
    read_memory(tmp_path / "memory", [other, same])
    assert (len(other.kept[0]), len(same.kept[0])) == (0, 1)


def test_the_file_is_for_its_owners_eyes_and_has_no_clear_value(tmp_path: Path) -> None:
    first = built(tmp_path)
    seen_for_some_days(first)
    first.remember()
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "memory.new").exists()


def test_a_disk_that_is_full_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    providers = build_providers(
        ProvidersSettings(), folder=tmp_path, copies=tmp_path, memory=tmp_path / "absent" / "memory"
    )
    providers.remember()
    assert "provider_memory_failed" in capsys.readouterr().out
