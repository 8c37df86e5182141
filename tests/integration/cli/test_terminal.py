"""What a person at a terminal gets: a live view that keys steer, tables kept up to date, progress, nothing too wide."""

import signal
import uuid

from controller.cli.exits import Exit
from tests.integration.cli.laboratory import Laboratory
from tests.integration.cli.terminal import Terminal
from tests.support.command_line import Run


def test_top_is_steered_by_keys_and_gives_the_screen_back(mesh: Laboratory) -> None:
    with Terminal(mesh, "top", "--interval", "100ms") as top:
        shown = top.until("castle-station", times=2)
        assert "LINKv" in shown
        assert "q leave; sort: n link" in shown
        top.press("s")
        top.until("SKRv")
        top.press("s")
        top.until("SKR^")
        top.press("\x1b[Bjbq")  # arrows and letters that scroll come to nothing here
        assert top.end() == Exit.DONE
        assert top.raw.startswith("\x1b[?1049h")
        assert top.raw.rstrip().endswith("\x1b[?25h\x1b[?1049l")


def test_top_scrolls_where_there_are_more_links_than_lines(mesh: Laboratory) -> None:
    with Terminal(mesh, "top", "--interval", "100ms", lines=6) as top:
        top.until("1-3 of 8")
        top.press("j")
        top.until("2-4 of 8")
        top.press(" ")
        top.until("6-8 of 8")
        top.process.send_signal(signal.SIGINT)
        assert top.end() == Exit.INTERRUPTED
        assert "Traceback" not in top.seen


def test_a_watched_table_is_kept_up_to_date_in_place(mesh: Laboratory) -> None:
    with Terminal(mesh, "get", "nodes", "--watch", "--interval", "100ms", "--count", 3) as watched:
        assert watched.end() == Exit.DONE
        assert "harbour" in watched.seen
        assert "\x1b[1A" in watched.raw  # back over the lines of the table before


def test_no_table_runs_over_the_edge_of_a_narrow_terminal(mesh: Laboratory) -> None:
    with Terminal(mesh, "get", "links", columns=60) as terminal:
        assert terminal.end() == Exit.DONE
        assert all(len(line) <= 60 for line in terminal.seen.splitlines())
        assert "for want of room not shown" in terminal.seen


def test_a_drain_shows_its_progress(mesh: Laboratory, run_mesh: Run) -> None:
    name = f"t{uuid.uuid4().hex[:12]}"
    assert run_mesh("relay", "create", "harbour", "university", "--rate", 1, "--name", name, "--wait").code == Exit.DONE
    (link,) = [
        line.split()[3] for line in run_mesh("relay", "show", name).out.splitlines() if line.startswith("1      1 ")
    ]
    with Terminal(mesh, "link", "drain", link, "--wait") as draining:
        assert draining.end() == Exit.DONE
        assert "relays moved" in draining.seen
        assert "1/1" in draining.seen
    assert run_mesh("link", "undrain", link).code == Exit.DONE
    assert run_mesh("relay", "delete", name).code == Exit.DONE
