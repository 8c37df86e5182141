"""What operators do in trouble, on a real network with two ways between most nodes."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.cli.exits import Exit
from tests.integration.cli.conftest import Read
from tests.support.command_line import Run

Waiting = Callable[..., "Iterator[dict[str, Any]]"]


@pytest.fixture
def relay(run_mesh: Run, read_mesh: Read) -> Iterator[str]:
    """A relay from the harbour to the university, in use; it passes the station."""
    name = f"t{uuid.uuid4().hex[:12]}"
    create = ("relay", "create", "harbour", "university", "--rate", "1k", "--name", name, "--wait")
    made = read_mesh(*create, "--wait-timeout", "60s")
    assert [hop["end_node"] for hop in made["routes"][0]["hops"]] == ["nodes/station", "nodes/university"]
    yield name
    run_mesh("relay", "delete", name)


def test_an_update_changes_what_is_named_and_clears_what_is_asked(relay: str, run_mesh: Run, read_mesh: Read) -> None:
    looked = read_mesh("relay", "update", relay, "--rate", "2k", "--dry-run")
    assert looked["rate_bit_per_s"] == 2000.0
    assert read_mesh("relay", "show", relay)["rate_bit_per_s"] == 1000.0
    updated = read_mesh(
        *("relay", "update", relay, "--rate", "2k", "--priority", 7, "--max-hops", 4, "--hold-off", "2s"),
        *("--avoid-node", "museum", "--avoid-node", "nodes/airport", "--restoration", "manual", "--preempt"),
    )
    assert (updated["rate_bit_per_s"], updated["priority"], updated["max_hops"]) == (2000.0, 7, 4)
    assert updated["avoid_nodes"] == ["nodes/airport", "nodes/museum"]
    assert (updated["restoration_mode"], updated["may_preempt"]) == ("RESTORATION_MODE_MANUAL", True)
    cleared = read_mesh(
        *("relay", "update", relay, "--clear", "max-hops", "--clear", "--avoid-node", "--clear", "restoration"),
        *("--avoid-link", "castle-museum", "--no-preempt", "--etag", updated["etag"]),
    )
    assert (cleared.get("max_hops"), cleared["avoid_nodes"], cleared["avoid_links"]) == (
        None,
        [],
        ["links/castle-museum"],
    )
    assert (cleared["restoration_mode"], cleared["may_preempt"]) == ("RESTORATION_MODE_AUTOMATIC", False)
    assert (cleared["rate_bit_per_s"], cleared["priority"], cleared["hold_off"]) == (2000.0, 7, "2s")
    stale = run_mesh("relay", "update", relay, "--priority", 8, "--etag", updated["etag"])
    assert (stale.code, "STALE_ETAG" in stale.err) == (Exit.REFUSED, True)
    too_much = run_mesh("relay", "update", relay, "--rate", "4G")
    assert (too_much.code, "NO_CAPACITY" in too_much.err) == (Exit.REFUSED, True)
    assert "state:            ACTIVE" in run_mesh("relay", "show", relay).out


def test_protection_shows_its_backup_and_a_disabled_relay_comes_back(
    relay: str, run_mesh: Run, read_mesh: Read
) -> None:
    protected = read_mesh(
        *("relay", "update", relay, "--protection", "1:1", "--revertive", "--wait-to-restore", "10m"),
    )
    assert [hop["end_node"] for hop in protected["backup_routes"][0]["hops"]][-1] == "nodes/university"
    assert (protected["revertive"], protected["wait_to_restore"]) == (True, "600s")
    shown = " ".join(run_mesh("relay", "show", relay).out.split())
    assert "protection: 1:1 backup: " in shown
    assert "revertive: after 10m" in shown
    assert "Backup routes:" in shown
    assert read_mesh("relay", "update", relay, "--disable")["admin_enabled"] is False
    refused = run_mesh("relay", "redeploy", relay)
    assert (refused.code, "DISABLED" in refused.err, "--enable" in refused.err) == (Exit.REFUSED, True, True)
    assert read_mesh("relay", "update", relay, "--enable")["admin_enabled"] is True


def test_history_says_what_became_of_a_relay_and_who_asked(relay: str, run_mesh: Run, read_mesh: Read) -> None:
    version = int(read_mesh("relay", "show", relay)["route_version"])
    assert int(read_mesh("relay", "redeploy", relay, "--dry-run")["route_version"]) > version
    assert int(read_mesh("relay", "show", relay)["route_version"]) == version
    assert int(read_mesh("relay", "redeploy", relay)["route_version"]) > version
    told = read_mesh("relay", "history", relay)
    assert told[-1]["state_reason"] == "created"
    assert {"user/operator", "controller"} <= {entry["by"] for entry in told}
    assert any("redeployed by user/operator" in entry["state_reason"] for entry in told)
    assert len(read_mesh("relay", "history", relay, "--limit", 1)) == 1
    assert run_mesh("relay", "history", relay).out.startswith("WHEN                  REVISION  STATE")
    assert run_mesh("relay", "history", "never-was").code == Exit.REFUSED
    events = [one for one in read_lines(run_mesh("events", "--limit", 1000, "-o", "json").out) if relay in one["name"]]
    assert [one["revision"] for one in events] == sorted((one["revision"] for one in events), key=int)
    assert len(events) >= len(told)
    since = int(events[2]["revision"])
    later = read_lines(run_mesh("events", "--kind", "relays", "--resume", since, "-o", "json", "--limit", 1000).out)
    assert all(int(one["revision"]) > since for one in later)


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_node_is_looked_at_drained_and_taken_back(relay: str, run_mesh: Run, read_mesh: Read) -> None:
    foreseen = read_mesh("what-if", "station")["moves"]
    looked = run_mesh("node", "drain", "station", "--dry-run")
    assert "nothing was changed" in looked.err
    assert not read_mesh("get", "nodes", "station")["maintenance"]
    drained = run_mesh("node", "drain", "station", "--wait", "--wait-timeout", "60s")
    assert drained.code == Exit.DONE
    (line,) = [line for line in drained.out.splitlines() if line.startswith(relay)]
    assert line.split()[1] == "MOVES"
    assert f"1 of 1: keyRelays/{relay} has left" in drained.err
    assert read_mesh("get", "nodes", "station")["maintenance"]
    assert read_mesh("get", "relays", "--filter", "node = station") == []
    (mine,) = [move for move in foreseen if move["key_relay"] == f"keyRelays/{relay}"]
    assert mine["routes"] == read_mesh("relay", "show", relay)["routes"]
    assert not read_mesh("node", "undrain", "station")["maintenance"]


def test_a_link_is_drained_and_what_ends_at_a_drained_node_stays(relay: str, run_mesh: Run, read_mesh: Read) -> None:
    moves = read_mesh("link", "drain", "harbour-station", "--dry-run")["moves"]
    assert [move["outcome"] for move in moves] == ["OUTCOME_MOVES"]
    stays = read_mesh("node", "drain", "university", "--dry-run")["moves"]
    assert [(move["key_relay"], move["outcome"]) for move in stays] == [(f"keyRelays/{relay}", "OUTCOME_STAYS")]
    assert read_mesh("link", "drain", "museum-station")["moves"] == []
    assert not read_mesh("link", "undrain", "museum-station")["maintenance"]
    assert read_mesh("link", "disable", "museum-station")["admin_enabled"] is False
    assert read_mesh("link", "enable", "museum-station")["admin_enabled"] is True
    assert read_mesh("node", "disable", "museum")["admin_enabled"] is False
    assert read_mesh("node", "enable", "museum")["admin_enabled"] is True


def test_what_fails_may_be_named_shortly_and_must_exist(run_mesh: Run, read_mesh: Read) -> None:
    assert read_mesh("what-if", "castle-museum", "nodes/museum")["moves"] == []
    ran = run_mesh("what-if", "nowhere")
    assert (ran.code, "no node and no link nowhere" in ran.err) == (Exit.REFUSED, True)
    assert run_mesh("node", "drain", "nowhere").code == Exit.REFUSED


def test_moves_are_frozen_with_a_reason_and_go_on_again(run_mesh: Run, read_mesh: Read) -> None:
    assert run_mesh("freeze").code == Exit.USAGE
    assert read_mesh("freeze", "--reason", "splicing")["frozen"]["reason"] == "splicing"
    assert read_mesh("status")["frozen"]["by"] == "user/operator"
    shown = " ".join(run_mesh("status").out.split())
    assert "agents: 6 of 6 connected" in shown
    assert "automatic moves: FROZEN reason: splicing by: user/operator" in shown
    assert "frozen" not in read_mesh("unfreeze")
    assert "automatic moves: go on" in " ".join(run_mesh("status").out.split())


def test_a_better_placement_is_proposed_and_carried_out_when_the_operator_says_so(
    run_mesh: Run, read_mesh: Read
) -> None:
    name = f"t{uuid.uuid4().hex[:12]}"
    create = ("relay", "create", "harbour", "university", "--rate", "1k", "--name", name, "--avoid-node", "station")
    long_way = read_mesh(*create, "--wait", "--wait-timeout", "60s")["routes"]
    read_mesh("relay", "update", name, "--clear", "avoid-node")
    assert read_mesh("relay", "show", name)["routes"] == long_way
    found = read_mesh("optimise", "propose")
    assert name in [move["service"].removeprefix("keyRelays/") for move in found["moves"]]
    assert found["after"]["key_use_bit_per_s"] < found["before"]["key_use_bit_per_s"]
    assert read_mesh("relay", "show", name)["routes"] == long_way
    placement = found["name"].removeprefix("placements/")
    done = run_mesh("optimise", "carry-out", placement, "--at-once", 1)
    assert (done.code, "DONE" in done.out, "key use:" in done.out) == (Exit.DONE, True, True)
    assert placement in done.err
    routes = read_mesh("relay", "show", name)["routes"]
    assert [hop["end_node"] for hop in routes[0]["hops"]] == ["nodes/station", "nodes/university"]
    listed = run_mesh("optimise", "list")
    assert placement in listed.out
    assert read_mesh("optimise", "show", placement)["state"] == "PLACEMENT_STATE_DONE"
    again = run_mesh("optimise", "cancel", placement)
    assert (again.code, "NOT_RUNNING" in again.err) == (Exit.REFUSED, True)
    assert "nothing better" in run_mesh("optimise").err
    run_mesh("relay", "delete", name)


def test_an_application_takes_several_clients_and_changes_in_place(run_mesh: Run, read_mesh: Read) -> None:
    name = f"t{uuid.uuid4().hex[:12]}"
    for sae, node in (("a", "harbour"), ("b", "university"), ("c", "airport")):
        assert run_mesh("sae", "add", f"{name}.{sae}", node).code == Exit.DONE
    made = read_mesh(
        *("application", "create", name, "--server-sae", f"{name}.a"),
        *("--client-sae", f"{name}.b", "--client-sae", f"{name}.c", "--ttl", "2h", "--jitter", 5),
    )
    assert made["client_saes"] == [f"saes/{name}.b", f"saes/{name}.c"]
    updated = read_mesh(
        *("application", "update", name, "--client-sae", f"{name}.b", "--key-size", 512, "--clear", "ttl"),
        *("--priority", 4),
    )
    assert (updated["client_saes"], updated["key_size_bit"]) == ([f"saes/{name}.b"], 512)
    assert (updated["qos"]["priority"], updated["qos"]["jitter_ms"], updated["qos"]["ttl"]) == (4, 5, "3600s")
    several = read_mesh(
        *("relay", "create", "harbour", "university", "--rate", 10, "--name", name, "--application", name),
        *("--application", f"applications/{name}", "--dry-run"),
    )
    assert several["applications"] == [f"applications/{name}"]
    assert run_mesh("application", "delete", name).code == Exit.DONE
    for sae in "abc":
        assert run_mesh("sae", "delete", f"{name}.{sae}").code == Exit.DONE


def test_who_makes_room_for_a_more_important_relay_is_told(run_mesh: Run, read_mesh: Read) -> None:
    low, high = f"t{uuid.uuid4().hex[:12]}", f"t{uuid.uuid4().hex[:12]}"
    room = min(link["capacity_bit_per_s"] for link in read_mesh("get", "links", "airport-castle", "airport-university"))
    rate = round(room * 0.7)
    assert run_mesh("relay", "create", "airport", "castle", "--rate", rate, "--name", low).code == Exit.DONE
    looked = run_mesh(
        *("relay", "create", "airport", "castle", "--rate", rate, "--name", high, "--priority", 9, "--preempt"),
        *("--max-hops", 1, "--dry-run"),
    )
    assert looked.code == Exit.DONE, looked.err
    assert "Relays that make room for it:" in looked.out
    assert any(line.startswith(low) for line in looked.out.splitlines())
    assert run_mesh("relay", "delete", low).code == Exit.DONE


def test_a_list_is_watched_and_only_what_changes_follows(run_mesh: Run, relay: str) -> None:
    ran = run_mesh("get", "relays", relay, "--watch", "--count", 2, "--interval", "100ms", "-o", "json")
    first, *_ = read_lines(ran.out)
    assert (first["kind"], first["name"]) == ("PUT", f"keyRelays/{relay}")
    table = run_mesh("get", "nodes", "--watch", "--count", 3, "--interval", "100ms")
    assert [line.split()[0] for line in table.out.splitlines()] == [
        "NODE", "airport", "castle", "harbour", "museum", "station", "university",
    ]  # fmt: skip
    assert run_mesh("get", "nodes", "--watch", "--interval", "1ms").code == Exit.USAGE


def test_events_are_followed_over_all_services_at_once(run_mesh: Run, read_mesh: Read) -> None:
    revision = int(read_mesh("status")["revision"])
    name = f"t{uuid.uuid4().hex[:12]}"
    for sae, node in (("a", "harbour"), ("b", "castle")):
        run_mesh("sae", "add", f"{name}.{sae}", node)
    run_mesh("application", "create", name, "--server-sae", f"{name}.a", "--client-sae", f"{name}.b")
    run_mesh("relay", "create", "harbour", "castle", "--rate", 1, "--name", name)
    run_mesh("node", "drain", "museum")
    run_mesh("node", "undrain", "museum")
    ran = run_mesh("events", "--follow", "--resume", revision, "--count", 6, "-o", "json")
    told = read_lines(ran.out)
    assert {"saes", "applications", "relays", "nodes"} >= {one["kind"] for one in told}
    only = run_mesh("events", "--follow", "--resume", revision, "--kind", "nodes", "--count", 2)
    first, second = only.out.splitlines()
    assert first.split()[2] == second.split()[2] == "nodes/museum"
    assert "maintenance" in first
    assert ran.err == only.err == ""


def test_one_frame_of_top_shows_every_link_in_eighty_columns(
    run_mesh: Run, relay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = run_mesh("top", "--once", "--interval", "200ms", "--sort", "reserved")
    assert ran.code == Exit.DONE
    title, heads, *rows = ran.out.splitlines()
    assert "8 of 8 links active" in title
    assert heads.split()[:4] == ["LINK", "STATUS", "SKR", "USED"]
    assert len(rows) == 8
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    assert {rows[0].split()[0], rows[1].split()[0]} == {"harbour-station", "station-university"}
    assert run_mesh("top", "--once", "--interval", "1ms").code == Exit.REFUSED


def test_a_shell_completes_names_that_the_controller_tells(monkeypatch: pytest.MonkeyPatch, run_mesh: Run) -> None:
    def completed(line: str) -> list[str]:
        monkeypatch.setenv("_QINETCTL_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        ran = run_mesh()
        monkeypatch.delenv("_QINETCTL_COMPLETE")
        assert ran.err == ""
        return ran.out.split()

    assert completed("qinetctl get nodes h") == ["harbour"]
    assert completed("qinetctl node drain s") == ["station"]
    assert completed("qinetctl link drain links/castle-") == [
        "links/castle-harbour", "links/castle-museum", "links/castle-station",
    ]  # fmt: skip
    assert completed("qinetctl what-if nodes/u") == ["nodes/university"]
    assert completed("qinetctl relay create harbour a") == ["airport"]
    assert completed("qinetctl relay update x --clear max") == ["max-hops"]
    assert completed("qinetctl un") == ["unfreeze"]
    for shell, told in (("zsh", '"station"'), ("fish", "station")):
        monkeypatch.setenv("_QINETCTL_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "qinetctl get nodes st")
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        assert told in run_mesh().out
    monkeypatch.setenv("QINET_CONTROLLER", "127.0.0.1:1")
    assert completed("qinetctl get nodes h") == []
    monkeypatch.setenv("QINET_PKI", str(Path("nowhere")))
    assert completed("qinetctl get nodes h") == []
