"""What the programs print is what it was: help pages, tables, JSON and YAML."""

from collections.abc import Sequence

from controller.cli import tables, tables_of_moves, tables_of_paths, top_view
from controller.cli.output import Format, Part, as_text, document, plain
from tests.golden import cli_paths as paths
from tests.golden import cli_resources as fixed
from tests.golden.cli_help import pages
from tests.golden.compare import FOLDER, expect


def test_the_help_pages_are_as_recorded() -> None:
    expect(FOLDER / "cli_help.txt", pages())


def test_the_tables_are_as_recorded() -> None:
    shown: dict[str, Sequence[Part]] = {
        "get nodes": [tables.node_table(fixed.NODES)],
        "get links": [tables.link_table(fixed.LINKS)],
        "topology show FILE": [tables.planned_node_table(fixed.NODES), tables.planned_link_table(fixed.LINKS)],
        "get relays": [tables.relay_table([fixed.RELAY, fixed.BLOCKED])],
        "relay show first": tables.relay_parts(fixed.RELAY, None),
        "relay show second": tables.relay_parts(fixed.BLOCKED, None),
        "relay show third": tables.relay_parts(fixed.PROTECTED, None),
        "relay history first": [tables_of_moves.history_table(fixed.HISTORY, None)],
        "node drain middle --dry-run": [tables_of_moves.move_table(fixed.MOVES)],
        "status": [tables_of_moves.status_sheet(fixed.STATUS, None)],
        "unfreeze": [tables_of_moves.frozen_sheet(None, None)],
        "route alice bob": tables.candidate_parts(fixed.ROUTES),
        "get paths": [tables_of_paths.path_table([paths.PATH])],
        "entangle show lab": tables_of_paths.path_parts(paths.PATH, None),
        "entangle history lab": [tables_of_moves.history_table(paths.HISTORY, None)],
        "entangle route a c --fidelity 0.9": tables_of_paths.route_parts(paths.ANSWER),
        "get nodes  # some with memories": [tables.node_table(paths.NODES)],
        "get links  # some make pairs": [tables.link_table([paths.QKD, paths.PAIRS])],
        "get applications": [tables.application_table(fixed.APPLICATIONS)],
        "sae list": [tables.sae_table(fixed.SAES)],
        "get agents": [tables.agent_table(fixed.AGENTS)],
        "get alarms": [tables.alarm_table(fixed.ALARMS, None)],
        "topology apply FILE": [tables.action_table(fixed.ACTIONS)],
    }
    text = "\n".join(f"$ qinetctl {command}\n{plain(parts)}" for command, parts in shown.items())
    frames = [
        f"$ qinetctl top --once  # in {width} columns\n" + "\n".join(frame) + "\n"
        for width in (100, 80, 50)
        if (
            frame := top_view.frame(
                "c1:7400", fixed.TOP, order=top_view.Order(), width=width, height=None, colour=False
            )
        )
    ]
    expect(FOLDER / "cli_tables.txt", "\n".join([text, *frames]))


def test_what_programs_get_is_as_recorded() -> None:
    json = as_text(document(fixed.RELAY), Format.JSON)
    yaml = as_text([document(link) for link in fixed.LINKS], Format.YAML)
    expect(
        FOLDER / "cli_documents.txt",
        f"$ qinetctl relay show first -o json\n{json}\n$ qinetctl get links -o yaml\n{yaml}",
    )
