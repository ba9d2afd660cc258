"""Each step of the gateway from a request's bytes to its answer, and how it goes wrong."""

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.backends.embedded.journal import FileJournalWriter
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import PolicyStoreUnavailable, SqlitePolicyStore
from gateway.backends.embedded.recipient_files import FileRecipientKeys
from gateway.programs.release import ProgramEntry, When
from gateway.programs.subjects import Subjects
from gateway.programs.table import ReleaseTable
from gateway.records.journal import EVALUATIONS
from gateway.runtime import disk
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import KeyUnavailable
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import TokenEpochs
from gateway.server.fronts import grpcio as grpcio_front
from gateway.sharing import admit as admit_module
from gateway.sharing import decide as decide_module
from gateway.sharing import gateway as gateway_module
from gateway.sharing.again import Repeats
from gateway.sharing.decide import Standing
from gateway.sharing.encode import Encoder
from gateway.sharing.remembered import Remembered
from gateway.sharing.steps import Steps
from tests.kit.faults import ALL, FED, Fault, Instead, raising
from tests.kit.faulty_process import Patches

STALE_AFTER_MS: Final = 700
"""A lease is good for 500 ms, and what renews it looks each 50 ms."""

UNHEARD_AFTER_MS: Final = 1_200
"""A registry that does not answer holds up the lease's renewal after as long a time."""

Put = Callable[[Patches], None]


def _of_admitter(name: str) -> Put:
    """One of the functions that whoever admits has at hand."""
    return lambda patches: patches.put(patches.live["gateway"]._admitter, name, patches.broken)


def _admits_engine(patches: Patches) -> None:
    patches.put(patches.live["gateway"]._admitter, "_engine", Instead(None, admit=patches.broken))


def _of(owner: Any, name: str) -> Put:
    return lambda patches: patches.put(owner, name, patches.broken)


def _of_front(name: str) -> Put:
    def put(patches: Patches) -> None:
        from gateway.server.fronts.native import NativeFront

        for front in (NativeFront, grpcio_front.GrpcioFront):
            patches.put(front, name, patches.broken)

    return put


def who_calls(patches: Patches) -> None:
    """The identities are not what they should be: their tokens cannot be looked up."""
    patches.put(patches.live["authenticator"], "_known", None)


def _velocity(patches: Patches) -> None:
    counting = patches.live["gateway"].counting
    patches.put(counting, "store", Instead(counting.store, touch=patches.broken))


def _providers_by_engine(patches: Patches) -> None:
    patches.put(patches.live["gateway"]._fetch, "_looks", Instead(None, look=patches.broken))


def _join_by_engine(patches: Patches) -> None:
    fetch = patches.live["gateway"]._fetch
    patches.put(fetch, "_looks", Instead(fetch._looks, join=patches.broken))


def _providers(patches: Patches) -> None:
    fetch = patches.live["gateway"]._fetch
    patches.put(fetch, "_looks", None)
    for one in fetch._inline:
        patches.put(one, "provider", Instead(one.provider, fetch=patches.broken))


def _providers_plan(patches: Patches) -> None:
    fetch = patches.live["gateway"]._fetch
    patches.put(fetch, "_looks", None)
    patches.put(fetch, "_read", patches.broken)


def _score(patches: Patches) -> None:
    gateway = patches.live["gateway"]
    patches.put(gateway, "_scorer", Instead(gateway._scorer, assess=patches.broken))


def _by_stages(put: Put) -> Put:
    """The engine leaves every payment to the stages in Python, and there it goes wrong."""

    def puts(patches: Patches) -> None:
        patches.put(patches.live["gateway"]._admitter, "_engine", None)
        patches.put(Steps, "decide", lambda steps, batch, objecting: batch.works)
        patches.put(Steps, "conclude", lambda steps, batch: batch.works)
        put(patches)
        gateway = patches.live["gateway"]

        def forget() -> None:
            gateway._stood = None, Standing(None)

        # What was compiled before the fault, and while it stood.
        forget()
        patches.undo(forget)

    return puts


def _engine_step(name: str, call: str) -> Put:
    def put(patches: Patches) -> None:
        patches.put(patches.live["gateway"]._steps, name, Instead(None, **{call: patches.broken}))

    return put


def _signals(patches: Patches) -> None:
    for name in ("signals", "assessed_signals"):
        patches.put(gateway_module, name, patches.broken)


def _release_by_engine(patches: Patches) -> None:
    patches.put(ProgramEntry, "quick_release", property(lambda entry: patches.broken))


def _release_by_twin(patches: Patches) -> None:
    patches.put(ProgramEntry, "quick_release", property(lambda entry: lambda query: None))
    patches.put(ProgramEntry, "release_by_twin", patches.broken)


def _conditions(patches: Patches) -> None:
    patches.put(ProgramEntry, "quick_release", property(lambda entry: entry.release_by_twin))
    patches.put(When, "holds", patches.broken)


def _objections(patches: Patches) -> None:
    patches.put(Subjects, "objecting", property(patches.broken))


def _draw(patches: Patches) -> None:
    patches.put(decide_module, "line_of", lambda *cut: Instead(None, draw=patches.broken))


def _shares(patches: Patches) -> None:
    sealer = patches.live["gateway"]._share_sealer
    patches.put(sealer, "_shares", Instead(sealer._shares, seal=patches.broken))


def _key_files(change: Callable[[Path], None]) -> Put:
    """Changes the recipients' files as an operator's mistake would, and has the process look at once."""

    def put(patches: Patches) -> None:
        gateway = patches.live["gateway"]
        folder = patches.live["state"].keys / "recipients"
        kept = {path: path.read_bytes() for path in folder.glob("*.jwks.json")}

        def restore() -> None:
            for path, content in kept.items():
                if path.is_dir():
                    path.rmdir()
                path.write_bytes(content)
            gateway._recipient_keys._held.clear()

        patches.undo(restore)
        for path in kept:
            change(path)
        gateway._recipient_keys._held.clear()

    return put


def _expire(path: Path) -> None:
    (key,) = json.loads(path.read_text())["keys"]
    path.write_text(json.dumps({"keys": [{**key, "exp": int(time.time()) - 60}]}))


def _make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _for_new_recipients(owner: Any, name: str) -> Put:
    """What is kept of a recipient is as good as it was: whoever has to be met anew gets none."""

    def put(patches: Patches) -> None:
        sealer = patches.live["gateway"]._share_sealer
        for kept in (sealer._addressed, sealer._recipients, sealer._sealer._cached):
            kept.clear()
        patches.put(owner, name, patches.broken)

    return put


def is_of(file: Any, topic: str) -> bool:
    """Whether an open file of ours is a segment of the topic's journal."""
    return f"/{topic}/" in os.readlink(f"/proc/self/fd/{file._fd}")


def _io(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def disk_full(topic: str, *, short: bool = False, cut_back: bool = True) -> Put:
    """The disk takes nothing more of a journal, or half of what it is given first."""

    def put(patches: Patches) -> None:
        write, truncate = disk._RealFile.write, disk._RealFile.truncate

        def full(file: Any, data: bytes) -> None:
            if not is_of(file, topic):
                return write(file, data)
            if short:
                write(file, data[: len(data) // 2])
            raise _io(errno.ENOSPC)

        def stuck(file: Any, size: int) -> None:
            if not is_of(file, topic):
                return truncate(file, size)
            raise _io(errno.EIO)

        patches.put(disk._RealFile, "write", full)
        if not cut_back:
            patches.put(disk._RealFile, "truncate", stuck)

    return put


def sync_fails(topic: str) -> Put:
    def put(patches: Patches) -> None:
        sync = disk._RealFile.sync

        def failing(file: Any) -> None:
            if not is_of(file, topic):
                return sync(file)
            raise _io(errno.EIO)

        patches.put(disk._RealFile, "sync", failing)

    return put


def _writer(patches: Patches) -> Any:
    return patches.live["gateway"]._committer._journal._writers[EVALUATIONS, 0]


def _no_new_segment(patches: Patches) -> None:
    _writer(patches)._abandon()
    patches.put(disk.RealDisk, "replace", raising(_io(errno.ENOSPC)))
    patches.put(disk.RealDisk, "open_at", raising(_io(errno.ENOSPC)))


def _fenced(patches: Patches) -> None:
    patches.put(_writer(patches), "_closed", True)


def _unpublished(patches: Patches) -> None:
    put = disk._SmallFile.put

    def failing(file: Any, data: bytes) -> None:
        if not is_of(file, EVALUATIONS):
            return put(file, data)
        raise _io(errno.ENOSPC)

    patches.put(disk._SmallFile, "put", failing)


def _no_logs(patches: Patches) -> None:
    """The disk is full for the log too: what the kernel says to a write on /dev/full."""
    disk_full(EVALUATIONS)(patches)
    kept, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 2)
    os.close(full)

    def restore() -> None:
        os.dup2(kept, 2)
        os.close(kept)

    patches.undo(restore)


def _last_look(**own: Callable[[Patches], Any]) -> Put:
    def put(patches: Patches) -> None:
        committer = patches.live["gateway"]._committer
        made = {name: make(patches) for name, make in own.items()}
        patches.put(committer, "_switches", Instead(committer._switches, **made))

    return put


def _key_gone(patches: Patches) -> None:
    """For whoever asks whether it stays, and for whoever asks for another."""

    def gone(*asked: Any, **options: Any) -> Any:
        raise KeyUnavailable("recipient")

    patches.put(Sealer, "held", gone)
    patches.put(Sealer, "serves", gone)


def _unavailable(owner: Any, name: str, fault: BaseException) -> Put:
    return lambda patches: patches.put(owner, name, raising(fault))


_EVALUATION: Final = (
    Fault(name="who calls", put=who_calls, refused="INTERNAL"),
    Fault(name="reading the request", put=_by_stages(_of_admitter("_read")), refused="INVALID_ARGUMENT"),
    Fault(name="admission by the engine", put=_admits_engine, leaves=ALL, leaves_after=ALL),
    Fault(name="digest of the request", put=_by_stages(_of_admitter("_digest"))),
    Fault(name="earlier requests", put=_by_stages(_of_admitter("_look"))),
    Fault(name="pseudonyms", put=_by_stages(_of(admit_module, "names_of"))),
    Fault(name="issuer of the card", put=_by_stages(_of(ReleaseTable, "issuer_of"))),
    Fault(name="velocity", put=_velocity, leaves=ALL, leaves_after=ALL),
    Fault(name="providers by the engine", put=_providers_by_engine, leaves=ALL, leaves_after=ALL),
    Fault(name="facts by the engine", put=_join_by_engine, leaves=ALL, leaves_after=ALL),
    Fault(name="every provider", put=_providers, leaves=ALL, leaves_after=ALL),
    Fault(name="what providers want", put=_providers_plan, leaves=ALL, leaves_after=ALL),
    Fault(name="global holdout", put=_of(gateway_module, "global_line")),
    Fault(name="score", put=_score, leaves=ALL, leaves_after=ALL),
    # What the engine cannot do is done by the stages.
    Fault(
        name="decisions by the engine", put=_engine_step("_decider", "decide"), leaves=ALL, leaves_after=ALL
    ),
    Fault(name="signals", put=_by_stages(_signals)),
    Fault(name="release by the engine", put=_by_stages(_release_by_engine)),
    Fault(name="release by the twin", put=_by_stages(_release_by_twin)),
    Fault(name="conditions", put=_by_stages(_conditions)),
    Fault(name="objections", put=_objections),
    Fault(name="arm", put=_by_stages(_draw)),
    Fault(
        name="registry of consents",
        put=_unavailable(SqliteConsents, "epoch", ConsentStoreUnavailable("broken")),
        takes_ms=UNHEARD_AFTER_MS,
    ),
    Fault(
        name="switches",
        put=_unavailable(SqlitePolicyStore, "view", PolicyStoreUnavailable("broken")),
        takes_ms=STALE_AFTER_MS,
    ),
    Fault(
        name="lease", put=_unavailable(FileLeaseBoard, "renew", _io(errno.ENOSPC)), takes_ms=STALE_AFTER_MS
    ),
)
_KEYS_AND_SEALING: Final = (
    Fault(name="key store", put=_of(FileRecipientKeys, "current")),
    Fault(name="key missing", put=_key_files(Path.unlink)),
    Fault(name="key expired", put=_key_files(_expire)),
    Fault(name="key damaged", put=_key_files(lambda path: path.write_text('{"keys": [{'))),
    Fault(name="key unreadable", put=_key_files(_make_directory)),
    Fault(name="key gone before the seal", put=_key_gone),
    Fault(
        name="shares and records by the engine",
        put=_engine_step("_concluder", "conclude"),
        leaves=ALL, leaves_after=ALL,
    ),
    Fault(name="match keys", put=_by_stages(_of(gateway_module, "match_keys"))),
    Fault(name="content key", put=_for_new_recipients(Sealer, "_hold")),
    Fault(name="token epoch", put=_for_new_recipients(TokenEpochs, "of")),
    Fault(name="card tokens", put=_for_new_recipients(Pseudonyms, "tokens")),
    Fault(name="shares", put=_by_stages(_shares)),
)  # fmt: skip
_RECORD: Final = (
    Fault(name="encode decisions", put=_by_stages(_of(Encoder, "decisions"))),
    Fault(name="encode answer", put=_by_stages(_of(Encoder, "answer"))),
    Fault(name="encode record", put=_by_stages(_of(gateway_module, "record_of"))),
    Fault(name="disk full", put=disk_full(EVALUATIONS)),
    Fault(name="disk full for the log too", put=_no_logs),
    Fault(name="short write", put=disk_full(EVALUATIONS, short=True)),
    Fault(name="short write, not cut back", put=disk_full(EVALUATIONS, short=True, cut_back=False)),
    Fault(name="sync", put=sync_fails(EVALUATIONS)),
    Fault(name="new segment", put=_no_new_segment),
    Fault(name="writer fenced", put=_fenced),
    Fault(name="append", put=_of(FileJournalWriter, "append")),
    # Durable, and readers learn of it with the next append.
    Fault(name="end not published", put=_unpublished, leaves=frozenset({"message"}), leaves_after=ALL),
    # From here on the record is durable: the stream and look-ups go by it, and the message has nothing.
    Fault(name="remembering", put=_of(Remembered, "recorded_all"), leaves=FED, leaves_after=FED),
    Fault(
        name="last look: stale",
        put=_last_look(fresh=lambda patches: lambda: False),
        leaves=FED, leaves_after=FED,
    ),
    Fault(
        name="last look", put=_last_look(fresh=lambda patches: patches.broken), leaves=FED, leaves_after=FED
    ),
    Fault(name="answer", put=_of_front("respond"), refused="INTERNAL", leaves=FED, leaves_after=FED),
)  # fmt: skip
REPEAT: Final = Fault(name="repeat", put=_of(Repeats, "again"))
"""Of requests that were answered before it stood."""

GATEWAY_FAULTS: Final = (*_EVALUATION, *_KEYS_AND_SEALING, *_RECORD)
