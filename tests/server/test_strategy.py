"""The review queue over REST."""

from __future__ import annotations

from autoweak.weak_labels import read_sidecar
from autoweak.weak_labels.review_queue import doubt_of
from tests.server.clients import Ohif, Server, Slicer
from tests.server.conftest import UNLABELLED, Start, phantom_studies


def test_two_clients_and_ohif_get_different_images(start: Start, tmp_path: object) -> None:
    studies, task = phantom_studies(tmp_path)  # type: ignore[arg-type]
    server = start(studies, task=task, lease_minutes=0.1)
    first, second = Slicer(server, "one").next_sample(), Slicer(server, "two").next_sample()
    third = Ohif(server).next_sample()
    given = {first["id"], second["id"], third["id"]}
    assert len(given) == 3
    assert first["path"] == str(studies / f"{first['id']}.png")
    assert first["name"] == f"{first['id']}.png"
    assert first["reason"] == "it has no weak label yet"
    rest = [Slicer(server, "one").next_sample()["id"] for _ in range(UNLABELLED - 3)]
    assert len({*given, *rest}) == UNLABELLED
    # Six seconds later all leases have run out, and the images come back.
    import time

    assert Slicer(server, "three").next_sample() == {}
    time.sleep(6.2)
    assert Slicer(server, "three").next_sample()["id"] in {*given, *rest}


def test_the_queue_hands_out_what_tells_most_first_under_both_names(trained: Server) -> None:
    sidecars = {path.stem: read_sidecar(path) for path in (trained.studies / "labels" / "original").glob("*.json")}
    sample = Slicer(trained).next_sample("weak_label")
    assert sample["reason"] == doubt_of(sidecars.get(sample["id"]))[1]
    assert sample["score"] == 1
    other = Slicer(trained, "else").next_sample("random")
    assert other["id"] != sample["id"]
    assert other["score"] == 1  # the first of those that nobody has
