"""Every command of qinetctl against a real controller with three real agents in a line: alice - middle - bob."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import yaml

from controller.cli.exits import Exit
from tests.integration.cli.laboratory import LINE, Laboratory
from tests.support.command_line import Ran, Run


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def read(run: Run) -> Callable[..., Any]:
    """Run a command that must be done, and return what its JSON says."""

    def read(*arguments: object) -> Any:
        ran = run(*arguments, "-o", "json")
        assert ran.code == Exit.DONE, ran.err
        return json.loads(ran.out)

    return read


def refused(ran: Ran, reason: str) -> None:
    assert (ran.code, ran.out) == (Exit.REFUSED, ""), ran
    assert ran.err.startswith("qinetctl: refused (")
    assert reason in ran.err.splitlines()[0]
    assert "\nnext: " in ran.err


def test_lists_show_the_network(run: Run, read: Callable[..., Any]) -> None:
    assert [node["name"] for node in read("get", "nodes")] == ["nodes/alice", "nodes/bob", "nodes/middle"]
    assert (
        run("get", "links").out.splitlines()[0].startswith("LINK          ENDS                STATUS  PROMISED BIT/S")
    )
    assert [agent["node"] for agent in read("get", "agents")] == ["nodes/alice", "nodes/bob", "nodes/middle"]
    for what in ("relays", "applications", "alarms"):
        assert isinstance(read("get", what), list)
        assert run("get", what).code == Exit.DONE


def test_one_name_gives_an_object_several_a_list_in_their_order(read: Callable[..., Any]) -> None:
    assert read("get", "nodes", "alice")["name"] == "nodes/alice"
    assert [link["name"] for link in read("get", "links", "bob-middle", "links/alice-middle")] == [
        "links/bob-middle",
        "links/alice-middle",
    ]
    assert read("get", "agents", "bob")["node"] == "nodes/bob"


def test_filters_select_and_are_joined(read: Callable[..., Any]) -> None:
    found = read("get", "links", "--filter", "node = middle", "--filter", "node = bob")
    assert [link["name"] for link in found] == ["links/bob-middle"]


def test_yaml_says_what_json_says(run: Run, read: Callable[..., Any]) -> None:
    ran = run("get", "nodes", "-o", "yaml")
    assert [node["uuid"] for node in yaml.safe_load(ran.out)] == [node["uuid"] for node in read("get", "nodes")]


def test_a_relay_is_made_for_an_application_waited_for_shown_and_deleted(
    run: Run, read: Callable[..., Any], name: str
) -> None:
    assert run("sae", "add", f"{name}.a", "alice").code == Exit.DONE
    assert run("sae", "add", f"{name}.b", "bob").code == Exit.DONE
    assert [one["name"] for one in read("sae", "list", "--filter", f"name = {name}.a")] == [f"saes/{name}.a"]
    made = read(
        *("application", "create", name, "--server-sae", f"{name}.a", "--client-sae", f"{name}.b"),
        *("--key-size", 512, "--ttl", "2h", "--min-bandwidth", 10, "--priority", 3),
    )
    assert (made["key_size_bit"], made["qos"]["ttl"], made["qos"]["priority"]) == (512, "7200s", 3)
    relay = read(
        *("relay", "create", "alice", "bob", "--key-size", 256, "--keys", 2, "--every", "1s", "--name", name),
        *("--application", name, "--lifetime", "1h", "--hold-off", "1500ms", "--forward-share", 0.25),
        *("--protection", "unprotected", "--priority", 7, "--max-hops", 2, "--pass-node", "middle"),
        *("--wait", "--wait-timeout", "60s"),
    )
    assert relay["state"] == "STATE_ACTIVE"
    assert (relay["rate_bit_per_s"], relay["hold_off"], relay["priority"]) == (512.0, "1.500s", 7)
    assert (relay["protection"], relay["forward_share"]) == ("PROTECTION_UNPROTECTED", 0.25)
    shown = run("relay", "show", name)
    assert "alice-middle  middle" in shown.out
    assert f"etag: {relay['etag']}" in " ".join(shown.out.split())
    assert read("get", "applications", name)["key_relay"] == f"keyRelays/{name}"
    assert read("get", "relays", name)["name"] == f"keyRelays/{name}"

    refused(run("application", "delete", name), "IN_USE")
    refused(run("sae", "delete", f"{name}.a"), "IN_USE")
    refused(run("relay", "delete", name, "--etag", "old"), "STALE_ETAG")
    assert read("relay", "delete", name, "--etag", relay["etag"])["revision"] != "0"
    watched = run("watch", "relays", "--since", int(relay["revision"]), "-o", "json", "--count", 2)
    assert json.loads(watched.out.splitlines()[0])["name"].startswith("keyRelays/")
    assert run("application", "delete", name).code == Exit.DONE
    assert "state:  gone" in run("sae", "delete", f"{name}.a").out


def test_a_request_id_makes_a_repeat_harmless_and_another_body_is_refused(
    run: Run, read: Callable[..., Any], name: str
) -> None:
    create = ("relay", "create", "alice", "bob", "--rate", 10, "--request-id", name)
    first, second = read(*create), read(*create)
    assert first["name"] == second["name"]
    refused(run("relay", "create", "alice", "bob", "--rate", 11, "--request-id", name), "REQUEST_ID_REUSED")
    assert run("relay", "delete", first["name"]).code == Exit.DONE
    refused(run(*create), "ALREADY_DELETED")


def test_validate_only_changes_nothing_and_says_so(run: Run, name: str) -> None:
    ran = run("relay", "create", "alice", "bob", "--rate", "1k", "--name", name, "--validate-only")
    assert ran.code == Exit.DONE
    assert "nothing was changed" in ran.err
    refused(run("relay", "show", name), "NOT_FOUND")


def test_routes_are_computed_and_nothing_is_created(run: Run, read: Callable[..., Any]) -> None:
    answer = read("route", "alice", "bob", "--rate", "1k", "--alternatives", 5)
    links = [hop["link"] for hop in answer["candidates"][0]["routes"][0]["hops"]]
    assert links == ["links/alice-middle", "links/bob-middle"]
    assert answer["rate_bit_per_s"] == 1000.0
    assert "alice -[alice-middle]- middle -[bob-middle]- bob" in run("route", "alice", "bob").out


@pytest.mark.parametrize(
    ("arguments", "reason", "told"),
    [
        (["alice", "nowhere", "--rate", "1"], "NOT_FOUND", "nodes/nowhere"),
        (["alice", "alice", "--rate", "1"], "INVALID_ARGUMENT", "): key_relay.target"),
        (["alice", "bob", "--rate", "0"], "INVALID_ARGUMENT", "): key_relay.rate_bit_per_s"),
        (["alice", "bob", "--rate", "-5"], "INVALID_ARGUMENT", "): key_relay.rate_bit_per_s"),
        (["alice", "bob", "--rate", "nan"], "INVALID_ARGUMENT", "): key_relay.rate_bit_per_s"),
        (["alice", "bob", "--rate", "5G"], "INVALID_ARGUMENT", "): key_relay.rate_bit_per_s"),
        (["alice", "bob", "--rate", "4G"], "NO_CAPACITY", "missing_bit_per_s"),
        (["alice", "bob", "--rate", "1e-9"], "INVALID_ARGUMENT", "): key_relay.rate_bit_per_s"),
        (["alice", "bob", "--rate", "1", "--avoid-node", "middle"], "NO_ROUTE", "relax --avoid-node"),
        (["alice", "bob", "--rate", "1", "--max-hops", "1"], "NO_ROUTE", "relax --max-hops"),
        (
            ["alice", "bob", "--rate", "1", "--avoid-link", "no", "--pass-node", "zork"],
            "NOT_FOUND",
            "nodes/zork, links/no do",
        ),
        (["alice", "bob", "--rate", "1", "--shares", "2"], "NO_DISJOINT_ROUTES", "middle"),
        (["alice", "bob", "--rate", "1", "--protection", "1+1"], "NO_DISJOINT_ROUTES", "no backup"),
        (["alice", "bob", "--rate", "1", "--application", "nobody"], "NOT_FOUND", "applications/nobody"),
    ],
)
def test_a_refusal_names_reason_facts_and_what_to_do(run: Run, arguments: list[str], reason: str, told: str) -> None:
    ran = run("relay", "create", *arguments)
    refused(ran, reason)
    assert told in ran.err
    assert ran.err.count("key_relay.") <= 1
    assert "keyRelays/r-" not in ran.err


def test_who_asks_at_the_agents_port_is_sent_to_the_other(run: Run, laboratory: Laboratory) -> None:
    ran = run("--controller", laboratory.southbound, "get", "nodes")
    refused(ran, "KIND_NOT_ALLOWED")
    assert "port of the agents" in ran.err


def test_what_does_not_exist_is_refused_everywhere(run: Run) -> None:
    for what in ("nodes", "links", "relays", "applications", "agents", "alarms"):
        ran = run("get", what, "no-such-thing")
        assert (ran.code, "does not exist" in ran.err) == (Exit.REFUSED, True)


def test_a_wrong_filter_is_refused_with_the_fields_that_there_are(run: Run) -> None:
    refused(run("get", "links", "--filter", "colour = red"), "INVALID_ARGUMENT")


def test_a_relay_that_cannot_be_carried_is_kept_blocked_and_waiting_for_it_ends_with_6(run: Run, name: str) -> None:
    ran = run(
        *("relay", "create", "alice", "bob", "--rate", "4G", "--name", name),
        *("--accept-blocked", "--wait", "--wait-timeout", "200ms"),
    )
    assert ran.code == Exit.NOT_YET
    assert f"keyRelays/{name} is BLOCKED, not ACTIVE, after 200ms" in ran.err
    assert "state: BLOCKED" in " ".join(ran.out.split())
    assert run("relay", "delete", name).code == Exit.DONE


def test_the_topology_in_force_is_unchanged_by_its_own_file(run: Run, read: Callable[..., Any]) -> None:
    answer = read("topology", "apply", LINE)
    assert (answer["unchanged"], answer["created"], answer["updated"], answer["deleted"]) == (5, 0, 0, 0)


def test_a_plan_for_another_topology_is_told_and_not_carried_out(run: Run, tmp_path: Path) -> None:
    smaller = tmp_path / "smaller.yaml"
    text = LINE.read_text("utf-8").replace("length_km: {value: 20,", "length_km: {value: 21,", 1)
    smaller.write_text(text, "utf-8")
    ran = run("topology", "apply", smaller, "--validate-only")
    assert ran.code == Exit.DONE
    assert "UPDATE  links/alice-middle" in ran.out
    assert "nothing was changed" in ran.err
    assert "0 created, 0 updated, 0 deleted, 5 unchanged" in run("topology", "apply", LINE).out


def test_the_map_of_the_living_network_has_every_link_in_the_colour_of_its_status(run: Run, tmp_path: Path) -> None:
    ran = run("topology", "show", "--svg", tmp_path / "map.svg")
    assert ran.code == Exit.DONE
    root = Xml.parse(tmp_path / "map.svg").getroot()
    links = [one for one in root.iter() if one.get("class") == "link"]
    assert {one.get("id") for one in links} == {"link-alice-middle", "link-bob-middle"}
    assert {one[1].get("stroke") for one in links} == {"#2e7d32"}


def test_watching_the_topology_starts_with_the_full_state(run: Run) -> None:
    ran = run("watch", "topology", "--count", 5, "-o", "yaml")
    assert {one["name"] for one in yaml.safe_load_all(ran.out)} == {
        "nodes/alice", "nodes/bob", "nodes/middle", "links/alice-middle", "links/bob-middle",
    }  # fmt: skip


def test_a_controller_of_another_name_is_not_believed(run: Run) -> None:
    ran = run("get", "nodes", "--controller-name", "other")
    assert (ran.code, "--controller-name" in ran.err) == (Exit.UNREACHABLE, True)


def test_a_node_is_not_let_in_and_told_how_to_ask(run: Run) -> None:
    refused(run("get", "nodes", "--as", "node/alice"), "KIND_NOT_ALLOWED")


def test_explicit_files_take_the_place_of_the_directory(run: Run, laboratory: Laboratory, tmp_path: Path) -> None:
    pki = laboratory.directory / "pki"
    ran = run(
        *("get", "nodes", "--pki", tmp_path, "--ca", pki / "ca.crt"),
        *("--cert", pki / "user" / "operator.crt", "--key", pki / "user" / "operator.key"),
    )
    assert ran.code == Exit.DONE
