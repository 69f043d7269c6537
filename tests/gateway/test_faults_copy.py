"""The local copy of the ledger, where it is damaged, missing, or has no room: the parts that use it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_parts import until

import histories as h
from mangaops.errors import LedgerTampered, MangaopsError, SetupError
from mangaops.gateway.chain import Chain
from mangaops.gateway.follower import Follower
from mangaops.gateway.link import Link
from mangaops.gateway.releases import Releases
from mangaops.gateway.slots import Slots
from mangaops.store import Artifacts, Ledger
from mangaops.store.chain import ChainCopy
from mangaops.vocabulary import SHADOW_WORKER


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        opened.append(h.week(1, after=None, generation=1), expect={}, at=h.AT)
        yield opened


def follow(chain: Chain, ledger: Ledger, copy: ChainCopy) -> bool:
    return chain.follow(ledger, ledger.heads(), copy)


def test_a_damaged_copy_names_no_champion_and_is_made_anew_from_the_ledger(
    ledger: Ledger, tmp_path: Path
) -> None:
    copy = ChainCopy(tmp_path / "chain")
    chain = Chain.of_copy("router", copy)
    assert not chain.known
    assert follow(chain, ledger, copy)
    assert Chain.of_copy("router", copy).champion == "router-1"
    file = copy.folder / "router.jsonl"
    whole = file.read_text()
    file.write_text(whole.replace("router-1", "router-9"))
    chain = Chain.of_copy("router", copy)
    assert (chain.champion, chain.known) == (None, False)
    assert follow(chain, ledger, copy)
    assert (chain.champion, chain.known, file.read_text()) == ("router-1", True, whole)


def test_a_copy_without_room_is_told_and_made_when_there_is_some(ledger: Ledger, tmp_path: Path) -> None:
    copy = ChainCopy(tmp_path / "chain")
    copy.folder.write_text("a file is where the folder should be")
    chain = Chain.of_copy("router", ChainCopy(tmp_path / "none"))
    assert follow(chain, ledger, copy)
    assert chain.champion == "router-1"
    assert "copying stream router" in str(chain.uncopied)
    copy.folder.unlink()
    assert not follow(chain, ledger, copy)
    assert chain.uncopied is None
    assert Chain.of_copy("router", copy).champion == "router-1"


def follower(tmp_path: Path, url: str, loop: asyncio.AbstractEventLoop) -> Follower:
    """A follower of that ledger in a gateway whose folder is empty; it is not started."""
    link = Link(
        lambda: Ledger(url, create=False),
        gateway="gateway",
        worker=0,
        copies=tmp_path / "gateway" / "chain",
        poll=0.1,
        doing=dict,
    )
    releases = Releases(tmp_path / "gateway", lambda: Artifacts(tmp_path / "artifacts"), {})
    slots = {"router": Slots.of("router", "fallback:offer_human")}
    return Follower(slots, releases, link, loop, lambda _unit, _release, _error: None)


def test_without_ledger_and_copy_nothing_is_ready_and_an_empty_ledger_is_enough(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with asyncio.Runner() as runner:
        lost = follower(tmp_path, url, runner.get_loop())
        chains = [each.chain for each in lost.wanted.values()]
        lost.link.follow(chains)
        assert "there is no such file" in str(lost.link.trouble)
        assert "no verified copy" in lost.unready()["router"]
        Ledger(url).close()
        told = follower(tmp_path, url, runner.get_loop())
        told.link.start()
        told.link.follow([each.chain for each in told.wanted.values()])
        assert told.link.trouble is None
        assert told.unready() == {}
        told.link.close()


def test_a_unit_whose_stream_was_cut_stops_no_other_unit(ledger: Ledger, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger.append([h.model(1, "search"), h.release(1, "search")], expect={}, at=h.AT)
    with asyncio.Runner() as runner:
        link = follower(tmp_path, url, runner.get_loop()).link
        link.start()
        cut = Chain.of_copy("router", ChainCopy(tmp_path / "cut"))
        other = Ledger(f"sqlite:///{tmp_path}/other.db")
        other.append(h.weeks(2), expect={}, at=h.AT)
        follow(cut, other, ChainCopy(tmp_path / "cut"))
        other.close()
        search = Chain.of_copy("search", link.copy)
        link.follow([cut, search])
        assert "does not go on" in str(link.trouble)
        assert list(search.state.releases) == ["search-1"]
        link.close()


def one_process(tmp_path: Path, worker: int) -> Link:
    """A process of a gateway whose ledger lies in `tmp_path`, if anywhere."""
    return Link(
        lambda: Ledger(f"sqlite:///{tmp_path}/ledger.db", create=False),
        gateway="gateway",
        worker=worker,
        copies=tmp_path / f"chain{worker}",
        poll=0.1,
        doing=dict,
    )


def test_a_ledger_that_is_not_there_is_logged_by_one_process_of_a_gateway(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "mangaops.gateway")
    links = [one_process(tmp_path, worker) for worker in (SHADOW_WORKER, 1, 0)]
    for link in links:
        link.start()
        link.follow([])
        assert "there is no such file" in str(link.trouble)
    assert [each.message.splitlines()[0] for each in caplog.records] == [
        f"the ledger is not followed: the ledger sqlite:///{tmp_path}/ledger.db cannot be used"
    ]
    Ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    for link in links:
        until(lambda link=link: link.follow([]) is None and link.trouble is None, "following")
        link.close()
    (again,) = caplog.records[1:]
    assert again.message.startswith("the ledger is followed again, after")


@pytest.mark.parametrize("worker", [1, 0])
def test_a_ledger_that_was_out_of_reach_and_then_does_not_add_up_is_logged_as_that(
    worker: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[MangaopsError] = [LedgerTampered("the ledger was refused"), SetupError("it is out of reach")]

    def opening() -> Ledger:
        raise found[-1] if len(found) > 1 else found[0]

    caplog.set_level("ERROR", "mangaops.gateway")
    link = Link(opening, gateway="shop", worker=worker, copies=tmp_path, poll=0.1, doing=dict)
    link.follow([])
    assert len(caplog.records) == (1 if worker == 0 else 0)
    found.pop()
    until(lambda: link.follow([]) is None and "was refused" in str(link.trouble), "another look")
    assert caplog.records[-1].message.endswith("the ledger was refused")
    told = len(caplog.records)
    link.follow([])
    assert len(caplog.records) == told, "what is known is not told again"


def test_a_ledger_that_does_not_add_up_is_logged_by_each_process(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for worker in (SHADOW_WORKER, 1, 0):
        link = one_process(tmp_path, worker)
        cut = Chain.of_copy("elsewhere", link.copy)
        cut.events = ledger.read("router")
        link.start()
        link.follow([cut])
        assert "does not go on" in str(link.trouble)
        link.close()
    assert [each.message.partition(":")[0] for each in caplog.records] == ["the ledger is not followed"] * 3
