"""What the journal has of a payment is what velocity is counted by, so that it can be counted again."""

from enrichment.velocity import VelocityKind
from gateway.backends.embedded.velocity import EmbeddedVelocity
from tests.unit.sharing.kit import Kit, requests


def test_the_journal_counted_again_gives_the_counts_of_the_store_that_served() -> None:
    kit = Kit()
    sent = requests(40)
    for number, request in enumerate(sent):
        # Few addresses and devices for many cards, some without an e-mail address.
        request.device.ip = f"93.184.216.{number % 3 + 1}"
        request.device.device_id = f"device-of-{number % 7:04d}-people"
        request.customer.email = f"person{number % 5}@mailbox.net" if number % 4 else ""
    kit.results(*sent)
    records = kit.journal.records()
    assert {len(record.velocity_keys) for record in records} == {len(VelocityKind)}
    again = EmbeddedVelocity(max_keys=4_096)
    for record in records:
        again.replay(record.velocity_keys, record.initiated_at_ms)
    again.caught_up()
    probe = [(record.initiated_at_ms, record.velocity_keys) for record in records]
    counted = again.touch(probe)
    assert counted == kit.velocity.touch(probe)
    cards = {counts[VelocityKind.IP][7] for counts in counted if counts and counts[VelocityKind.IP]}
    assert cards == {8}, "40 cards from 3 addresses are 8 or more from each"


def test_an_e_mail_address_has_one_key_however_it_is_written_and_none_where_there_is_none() -> None:
    kit = Kit()
    sent = requests(3)
    for request, email in zip(sent, ("Jo.Doe@Mailbox.net", "jo.doe@mailbox.NET", ""), strict=True):
        request.customer.email = email
    kit.results(*sent)
    first, second, third = (record.velocity_keys[VelocityKind.EMAIL] for record in kit.journal.records())
    assert first == second != b""
    assert third == b""
