"""Who was given which image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autoweak.server.leases import Leases

IDS = ["a", "b", "c"]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(tmp_path: Path, clock: Clock) -> Leases:
    return Leases(tmp_path / "leases.json", seconds=60, clock=clock)


def test_two_clients_get_different_images(leases: Leases) -> None:
    assert [leases.take("one", IDS), leases.take("two", IDS), leases.take("one", IDS)] == ["a", "b", "c"]


def test_with_all_in_hand_a_client_gets_its_own_back_and_never_anothers(leases: Leases, clock: Clock) -> None:
    for client in ("one", "two", "one"):
        leases.take(client, IDS)
        clock.now += 1
    assert leases.take("one", IDS) == "a"
    assert leases.take("two", IDS) == "b"
    assert leases.take("three", IDS) is None


def test_images_come_back_when_the_lease_runs_out(leases: Leases, clock: Clock) -> None:
    leases.take("one", ["a"])
    clock.now += 59
    assert leases.take("two", ["a"]) is None
    clock.now += 2
    assert leases.take("two", ["a"]) == "a"


def test_leases_outlive_the_server(leases: Leases, tmp_path: Path, clock: Clock) -> None:
    leases.take("one", IDS)
    again = Leases(tmp_path / "leases.json", seconds=60, clock=clock)
    assert again.take("two", IDS) == "b"


def test_damaged_file_is_begun_anew(leases: Leases, tmp_path: Path) -> None:
    (tmp_path / "leases.json").write_text('{"a": 3}')
    assert leases.take("one", IDS) == "a"
    assert leases.held().keys() == {"a"}


def test_many_at_once(leases: Leases) -> None:
    ids = [f"image{number}" for number in range(20)]
    with ThreadPoolExecutor(10) as pool:
        given = list(pool.map(lambda number: leases.take(f"client{number}", ids), range(20)))
    assert sorted(map(str, given)) == sorted(ids)
