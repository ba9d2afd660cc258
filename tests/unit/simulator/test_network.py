import asyncio
from pathlib import Path
from typing import Any

from simulator.lines import LineList, read_lines
from simulator.network import Answer, NetworkLink, serve


async def approve(message: dict[str, Any]) -> dict[str, Any]:
    return {"approved": True, "code": "00"}


def test_answers_find_their_question_in_any_order(tmp_path: Path) -> None:
    async def slow_first(message: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0.05 if message["id"] == "0" else 0)
        return {"approved": message["id"] == "1", "code": message["id"]}

    async def scenario() -> list[Answer]:
        server = await serve(tmp_path / "s", slow_first)
        link = NetworkLink(tmp_path / "s")
        answers = await asyncio.gather(*(link.authorize({"id": str(number)}) for number in range(3)))
        await link.close()
        server.close()
        return answers

    assert asyncio.run(scenario()) == [Answer("0", False), Answer("1", True), Answer("2", False)]


def test_an_authorization_reaches_an_issuer_that_comes_back(tmp_path: Path) -> None:
    async def scenario() -> Answer:
        link = NetworkLink(tmp_path / "s")
        asking = asyncio.create_task(link.authorize({"id": "1"}))
        await asyncio.sleep(0.1)
        server = await serve(tmp_path / "s", approve)
        answer = await asking
        await link.close()
        server.close()
        return answer

    assert asyncio.run(scenario()) == Answer("00", approved=True)


def test_the_network_answers_for_an_issuer_that_stays_away(tmp_path: Path) -> None:
    answer = asyncio.run(NetworkLink(tmp_path / "nobody").authorize({"id": "1"}, attempts=2))
    assert answer == Answer("91", approved=False, stand_in=True)


def test_half_a_line_of_a_killed_process_is_cut_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "list.ndjson"
    path.write_bytes(b'{"n":1}\n{"n":')
    assert list(read_lines(path)) == [{"n": 1}]
    lines = LineList(path)
    lines.add({"n": 2})
    lines.close()
    assert list(read_lines(path)) == [{"n": 1}, {"n": 2}]
