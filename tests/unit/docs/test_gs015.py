"""The page on GS QKD 015 names every node of its tree, and only fields that exist."""

import re
from importlib import import_module
from typing import Any

from google.protobuf.descriptor import EnumDescriptor

from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "gs-qkd-015.md").read_text()
# The data nodes of etsi-qkd-sdn-node, revision 2022-01-30, leaves only.
TREE = {
    "The node": "qkdn_id qkdn_status qkdn_version qkdn_location_id qkdn_capabilities/link_stats_support"
    " qkdn_capabilities/application_stats_support qkdn_capabilities/key_relay_mode_enable",
    "Applications": "app_id app_status app_type server_app_id client_app_id app_priority creation_time expiration_time"
    " app_statistics/statistics/end_time app_statistics/statistics/start_time app_statistics/statistics/consumed_bits"
    " app_qos/max_bandwidth app_qos/min_bandwidth app_qos/jitter app_qos/ttl app_qos/clients_shared_path_enable"
    " app_qos/clients_shared_keys_required backing_qkdl_id local_qkdn_id remote_qkdn_id",
    "Interfaces": "qkdi_id qkdi_model qkdi_type qkdi_att_point/device qkdi_att_point/port"
    " qkdi_capabilities/role_support qkdi_capabilities/wavelength_range qkdi_capabilities/max_absorption qkdi_status",
    "Links": "qkdl_id qkdl_status qkdl_enable qkdl_local/qkdn_id qkdl_local/qkdi_id qkdl_remote/qkdn_id"
    " qkdl_remote/qkdi_id qkdl_type qkdl_applications virt_prev_hop virt_next_hop virt_bandwidth phys_channel_att"
    " phys_wavelength phys_qkd_role qkdl_performance/expected_consumption qkdl_performance/skr qkdl_performance/eskr"
    " qkdl_performance/phys_perf/perf_type qkdl_performance/phys_perf/value",
    "Notifications": "sdqkdn_application_new sdqkdn_application_qos_update sdqkdn_application_disconnected"
    " sdqkdn_interface_new sdqkdn_interface_down sdqkdn_interface_out sdqkdn_link_down sdqkdn_link_perf_update"
    " sdqkdn_link_overloaded alarm event",
}
MODULES = {
    "south": ["qinet.southbound.v1.agent_pb2", "qinet.southbound.v1.entries_pb2"],
    "types": ["qinet.types.v1.types_pb2"],
    "north": [
        f"qinet.northbound.v1.{name}_pb2"
        for name in ("node", "link", "application", "key_relay", "operations_service", "topology_service")
    ],
}


def rows(section: str) -> dict[str, str]:
    text = PAGE.split(f"\n## {section}")[1].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w/]+)` \| (.*?) \|", text, re.MULTILINE))


def found(package: str, message: str, field: str) -> bool:
    for name in MODULES[package]:
        kind: Any = getattr(import_module(name), message, None)
        if kind is not None:
            descriptor = kind.DESCRIPTOR
            names = descriptor.values_by_name if isinstance(descriptor, EnumDescriptor) else descriptor.fields_by_name
            return not field or field in names
    return False


def test_every_node_of_the_tree_has_its_row_and_no_other() -> None:
    for section, names in TREE.items():
        assert set(rows(section)) == set(names.split()), section


def test_every_field_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(south|north|types):(\w+)(?:\.(\w+))?`", PAGE))
    assert len(named) > 60
    assert {":".join(one) for one in named if not found(*one)} == set()


def test_a_node_without_a_field_says_why() -> None:
    for line in PAGE.splitlines():
        if "| none |" in line:
            assert len(line.split("|")[3].strip()) > 10, line
