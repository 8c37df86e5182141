"""What happens to the network: told by agents, by time, or by our own commits. Apps listen to these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.domain.alarm import Alarm
from controller.domain.snapshot import AgentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConnected:
    """An agent's Hello was answered.

    Attributes:
        version: Log revision of the configuration that the session wanted when it opened; what was wanted later
            is confirmed by ConfigConfirmed alone.
        in_force: Hash of each entry in force at the agent, by id.
        alarms: All its active alarms; those of this node not named are over.
        links_down: Reason by link, for each of its links whose quantum channel it says is down.
    """

    record: AgentRecord
    version: int
    in_force: Mapping[str, bytes]
    alarms: tuple[Alarm, ...] = ()
    links_down: Mapping[str, str] = field(default_factory=dict)


DRAINING: Final = "draining"
"""Why a session ended whose agent had said that it is being shut down on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLost:
    """An agent's session ended, with DRAINING or another text as the reason. It moves nothing."""

    node: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigConfirmed:
    """An agent has in force what was wanted of it at a revision: an update was acknowledged, or none was needed.

    Attributes:
        version: Log revision that the configuration was compiled from.
        in_force: Hash of each entry in force at the agent now, by id.
    """

    node: str
    version: int
    in_force: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRefused:
    """An agent refused an update, and applied none of it.

    Attributes:
        version: Log revision that the update was compiled from.
        refused: By entry id, (status code name, message), where it refused entries.
        whole: (status code name, message), where it refused the update as a whole.
    """

    node: str
    version: int
    refused: Mapping[str, tuple[str, str]]
    whole: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReport:
    """One end's word on its link.

    Attributes:
        down_reason: "" when the channel works here.
        exhausted: Stored key is at the floor.
        promised_skr_millibit_per_s: Quantile of its measured blocks less a margin; None before 20 blocks.
        neighbour_unreachable: The other end was unheard on the peer connection for three heartbeats.
        pair_rate_permille: Of an entanglement link: attempts that succeed over those that its model has succeed, in
            thousandths; None while too few were made, and at the end that does not draw the heralds.
        pair_fidelity_loss_permille: By how many thousandths its test pairs are worse than the model has them; None
            while too few were measured.
    """

    node: str
    link: str
    down_reason: str = ""
    exhausted: bool = False
    promised_skr_millibit_per_s: int | None = None
    neighbour_unreachable: bool = False
    pair_rate_permille: int | None = None
    pair_fidelity_loss_permille: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """One end's word on a key relay or an entanglement path.

    Attributes:
        service: Its key (Service.key).
        route_version: The highest in use at the head, as known there.
        confirmed: A key of this route version was confirmed end to end in the direction that originates here; or a pair
            was delivered to both ends.
        starved: Less than was promised over the window; of a relay, with a stock below its low watermark.
        confirmed_versions: All versions set there on which a key or pair was confirmed.
        undrained_versions: Versions set there and not in use on which keys that originate there, or pairs, are still
            under way.
        fidelity_at_most: Upper end of the interval in which consumed test pairs put the fidelity, rounded to
            thousandths, a ratio; None where nothing is known.
    """

    node: str
    service: str
    route_version: int
    confirmed: bool
    starved: bool = False
    confirmed_versions: frozenset[int] = frozenset()
    undrained_versions: frozenset[int] = frozenset()
    fidelity_at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationAsked:
    """An SAE asked a node for keys that no association serves (015 application_new).

    Attributes:
        node: Whose 014 server it asked; the SAE is there.
        server_sae, client_saes: SAE ids: who asked, and towards whom.
    """

    node: str
    server_sae: str
    client_saes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionAhead:
    """An agent has seen a higher election id than this controller's: somebody else may lead. Over with AgentConnected.

    Attributes:
        highest_epoch, highest_term: What it has seen.
    """

    node: str
    highest_epoch: int
    highest_term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRaised:
    """An agent, or the controller, raised an alarm."""

    alarm: Alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCleared:
    """An alarm is over."""

    key: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Service time went on.

    Attributes:
        service_time_ms: Now.
    """

    service_time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWentDown:
    """Committed: a link's quantum channel is down. Apps decide what moves."""

    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWeakened:
    """Committed: more is promised on a link than it can carry now. Apps decide what moves, one service at a time.

    Attributes:
        tried: How many of the services on it, least important first, were looked at before and stay; >= 0.
    """

    link: str
    tried: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUnreachable:
    """Committed: a node has no session and its neighbours do not hear it: down for relaying. Apps decide what moves."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkExhausted:
    """Committed: a link that is down has come to its floor; what rode on it no longer does."""

    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkImproved:
    """Committed: something that was not possible may be now: a link up, capacity freed, an agent back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOffEnded:
    """The hold-off of a service on a link that is down has ended."""

    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesImpaired:
    """Committed: what these services use, or keep as their backup, does not work, or not as well.

    They come most important first, as many as may be decided together: plain key relays (`is_plain`), or one service of
    another kind. Commands are carried out as they are yielded, one service after the other in this order; when the turn
    has taken long enough after one of them, services after its own are handed over again. So a cut under many services
    is worked off over many turns, and none counts on room that another was given.

    Attributes:
        services: Their keys; at least one.
    """

    services: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWaits:
    """The network has become better, and this service waits for that: for a route, a detour or a backup."""

    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnDue:
    """The former routes of a service, which stand as its backup, have worked for as long as it waits to return."""

    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementDue:
    """A placement is being carried out, and has room for another move.

    Attributes:
        placement: Its name.
        service: Key of the service whose turn it is.
    """

    placement: str
    service: str


AgentEvent = (
    AgentConnected
    | AgentLost
    | ConfigConfirmed
    | ConfigRefused
    | LinkReport
    | ServiceReport
    | AlarmRaised
    | AlarmCleared
    | ApplicationAsked
    | ElectionAhead
)
AppEvent = (
    LinkWentDown
    | LinkWeakened
    | NodeUnreachable
    | LinkExhausted
    | NetworkImproved
    | HoldOffEnded
    | ServicesImpaired
    | ServiceWaits
    | ReturnDue
    | PlacementDue
)
