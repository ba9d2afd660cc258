"""Delivery to a receiver that drops, repeats and forgets, by feeds that die between any two actions."""

import base64
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.delivery_reader import SqliteDeliveryReader
from gateway.feeds.delivery import Apply, DeliveryCore, Polled, Record, Reply
from gateway.feeds.fanout import FanOut
from gateway.records.journal import EVALUATIONS, Entry
from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.unit.feeds.records import (
    BASE_MS,
    LOOKUP,
    SSF,
    FakeSigner,
    FakeSwitches,
    decision,
    evaluation,
    quick_store,
)

STREAM = "stream-northgate-bank"
PROGRAMS = ("risk-score", "enhanced-data")
STEPS = 60
SEEDS = range(25)


class Crash(Exception):
    """The process died here."""


@dataclass
class Receiver:
    """Keeps what it got, by jti and by place."""

    sets: dict[str, bytes] = field(default_factory=dict)
    places: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def take(self, jti: str, token: bytes) -> tuple[str, dict[str, Any]]:
        assert self.sets.setdefault(jti, token) == token, "other bytes under the same id"
        payload = token.split(b".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        [(uri, event)] = claims["events"].items()
        kind = "withdrawn" if "withdrawn" in uri else "data"
        at_place = self.places.setdefault(event["stream_seq"], [])
        if (event["share_id"], kind) not in at_place:
            at_place.append((event["share_id"], kind))
        return kind, event


class World:
    """Feeds that can be killed, over a store and a journal that survive."""

    def __init__(self, seed: int, path: Path) -> None:
        self.random = random.Random(seed)
        self.path = path / "feeds.sqlite3"
        self.evaluations: list[Entry] = []
        self.shares: dict[str, str] = {}
        self.journal: list[storage.DeliveryRecord] = []
        self.switches = FakeSwitches()
        self.receiver = Receiver()
        self.waiting: list[str] = []
        self.crash_chance = 0.08
        self.store: SqliteDeliveryStore
        self.reader: SqliteDeliveryReader
        self.start()

    def start(self) -> None:
        self.store = quick_store(self.path)
        self.reader = self.store.reader()
        signer = FakeSigner()
        signer.count = self.random.randrange(1 << 40)
        self.core = DeliveryCore(store=self.store, signer_of=lambda _: signer, iss="https://us.test")
        self.fan_out = FanOut(
            store=self.store, reader=self.reader, signer_of=lambda _: signer, iss="https://us.test"
        )
        self.append(self.store.unconfirmed_records())

    def close(self) -> None:
        self.reader.close()
        self.store.close()

    def may_crash(self) -> None:
        if self.random.random() < self.crash_chance:
            raise Crash

    def append(self, records: Any) -> None:
        self.journal += [storage.DeliveryRecord.FromString(record) for record in records]

    def pay(self) -> None:
        for _ in range(self.random.randrange(8)):
            number = len(self.evaluations)
            # At times a share comes twice: its producer is at-least-once.
            share_number = self.random.randrange(number) if number and self.random.random() < 0.1 else number
            program = PROGRAMS[share_number % 2]
            transports = (SSF, LOOKUP) if share_number % 3 else (LOOKUP,)
            share_id = f"share-{share_number}"
            if SSF in transports:
                self.shares[share_id] = program
            record = evaluation(number, decision(share_id, program=program, transports=transports))
            self.evaluations.append(Entry(number, record.SerializeToString()))

    def step_fan_out(self) -> None:
        after = self.store.offset(EVALUATIONS, 0)
        entries = self.evaluations[after + 1 : after + 1 + self.random.randrange(1, 12)]
        if not entries:
            return
        batch = self.fan_out.plan(EVALUATIONS, entries, self.switches, now_ms=BASE_MS)
        self.may_crash()
        self.store.commit_fan_out(batch.change)
        self.may_crash()
        self.append(batch.change.records)

    def step_poll(self, *, drop_chance: float = 0.2) -> None:
        acks = self.acks()
        errors = {"unknown-jti": "jwtAud"} if self.random.random() < 0.1 else {}
        max_events = self.random.choice([0, 1, 3, 7, None])
        event = Polled(stream_id=STREAM, acknowledged=acks, set_errors=errors, max_events=max_events)
        reply = Reply(())
        for action in self.core.on(event, self.switches, BASE_MS):
            self.may_crash()
            if isinstance(action, Record):
                self.append(action.payloads)
            elif isinstance(action, Apply):
                self.store.apply(action.change)
            else:
                reply = action
        self.may_crash()
        if self.random.random() < drop_chance:
            return
        assert [one.stream_seq for one in reply.items] == sorted(one.stream_seq for one in reply.items)
        for one in reply.items:
            self.leave(one.jti, one.set_bytes)

    def leave(self, jti: str, token: bytes) -> None:
        sent = {record.jti for record in self.journal if record.event == storage.DELIVERY_EVENT_SENT}
        assert jti in sent, "left before its record"
        kind, event = self.receiver.take(jti, token)
        if kind == "data":
            assert self.switches.stopped(event["program"], event["issuer_id"]) is None, "left after the kill"
        self.waiting.append(jti)

    def acks(self) -> tuple[str, ...]:
        """Some of what waits, out of order, at times what was acknowledged long ago."""
        self.random.shuffle(self.waiting)
        count = self.random.randrange(len(self.waiting) + 1)
        acks, self.waiting = self.waiting[:count], self.waiting[count:]
        if self.receiver.sets and self.random.random() < 0.3:
            acks.append(self.random.choice(sorted(self.receiver.sets)))
        if self.random.random() < 0.1:
            self.waiting.clear()  # the receiver restarted without a memory
        return tuple(acks)

    def step(self) -> None:
        try:
            self.random.choice([self.pay, self.step_fan_out, self.step_poll, self.step_poll])()
        except Crash:
            self.close()
            self.start()

    def drain(self) -> None:
        self.crash_chance = 0.0
        while self.store.offset(EVALUATIONS, 0) < len(self.evaluations) - 1:
            self.step_fan_out()
        for _ in range(400):
            if not self.store.pending(STREAM, 1):
                return
            self.step_poll(drop_chance=0.0)
        raise AssertionError("the stream does not drain")


def _events(world: World, event: int) -> set[str]:
    return {record.share_id for record in world.journal if record.event == event and record.stream_id}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_share_arrives_once_at_its_own_place_whatever_dies(seed: int, tmp_path: Path) -> None:
    world = World(seed, tmp_path)
    kill_at = world.random.randrange(STEPS) if seed % 2 else None
    for number in range(STEPS):
        if number == kill_at:
            world.switches.stop("risk-score")
        world.step()
    world.drain()

    places = world.receiver.places
    assert sorted(places) == list(range(1, len(world.shares) + 1)), "a gap in the stream"
    assert all(len({share_id for share_id, _ in kinds}) == 1 for kinds in places.values())
    assert {kinds[0][0] for kinds in places.values()} == set(world.shares)
    for kinds in places.values():
        last = kinds[-1][1]
        if kill_at is None or world.shares[kinds[0][0]] != "risk-score":
            assert [kind for _, kind in kinds] == ["data"]
        else:
            assert last in ("data", "withdrawn")
    assert _events(world, storage.DELIVERY_EVENT_ENQUEUED) == set(world.shares)
    assert _events(world, storage.DELIVERY_EVENT_ACKNOWLEDGED) == set(world.shares)
    taken = {
        (record.stream_seq, record.share_id)
        for record in world.journal
        if record.event == storage.DELIVERY_EVENT_ENQUEUED and record.stream_seq
    }
    assert len(taken) == len(world.shares), "a share took two places, or a place two shares"
    world.close()
