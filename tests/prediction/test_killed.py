"""A batch that is killed at any instant, or run by several at once, loses, spoils and doubles nothing."""

from collections import Counter

from oracles.kill_server import Server, check_whole, kill_at_random
from oracles.small_batch import write_cases


def test_fifty_kills_at_random_instants(tmp_path):
    found = kill_at_random(tmp_path, 50, cases=20)
    assert found["kills"] == 50
    assert found["parts of the killed"] > 0  # some were hit while writing
    assert {found[name] for name in ("lost", "corrupt", "duplicated", "parts left")} == {0}


def test_shards_share_a_folder_and_its_manifest_at_the_same_time(tmp_path):
    write_cases(tmp_path / "in", 40)
    server = Server()
    try:
        assert server.run(tmp_path / "in", tmp_path / "whole") == 0
        shards = [{"shard": f"{n}/4"} for n in range(1, 5)]
        assert server.run(tmp_path / "in", tmp_path / "shared", each=shards) == 0
    finally:
        server.close()
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("case_*")}
    found: Counter = Counter()
    check_whole(tmp_path / "shared", whole, found)
    assert found == Counter(outputs=40)
