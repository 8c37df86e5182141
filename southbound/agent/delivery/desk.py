"""What delivery needs of the node behind it, and how a sound request becomes an answer there."""

from typing import Final, Protocol

from southbound.agent.delivery.refused import RequestRefused
from southbound.agent.delivery.requests import KeyIdsRequest, KeyRequest, Request, StatusRequest, check_limits
from southbound.agent.delivery.responses import Reply, error_reply, keys_reply, status_reply, unauthorised
from southbound.agent.keyplane.events import Answer, KeyStatus

RETRY_AFTER_S: Final = 5
"""What a 503 tells the caller to wait: about the time in which the controller makes a relay, or a stock refills."""


class KeyDesk(Protocol):
    """The node's key plane as delivery sees it; the node's shell provides it.

    A call that is cancelled (deadline, shutdown) drops its answer: a key in it is lost to its asker, and never
    given to another.
    """

    async def status(self, *, master: str, slave: str) -> KeyStatus | None:
        """Return the figures of the pair, or None where no association serves it."""

    async def get_keys(
        self, *, master: str, slave: str, number: int, size_bit: int | None, more_slaves: tuple[str, ...]
    ) -> Answer:
        """Hand out fresh keys: the `GetKeys` of the key plane and its answer."""

    async def get_keys_by_id(self, *, slave: str, master: str, key_ids: tuple[str, ...]) -> Answer:
        """Hand out bound keys: the `GetKeysById` of the key plane and its answer."""

    def sae_called(self, sae: str) -> None:
        """Learn that this SAE is at this node, by its certificate. Told on every request: must be cheap."""

    def application_missing(self, *, master: str, slaves: tuple[str, ...]) -> None:
        """Learn that a master asked for keys without an association (015: application_new). Told on every attempt."""


async def answer_request(request: Request, caller: str, desk: KeyDesk) -> Reply:
    """Have the desk answer what the caller asks.

    Raises:
        RequestRefused: 400 beyond the limits of Status; 503 no association.
    """
    if isinstance(request, StatusRequest):
        status = await desk.status(master=caller, slave=request.slave)
        if status is None:
            raise _no_application(caller, request.slave)
        return status_reply(status)
    if isinstance(request, KeyIdsRequest):
        return _reply(await desk.get_keys_by_id(slave=caller, master=request.master, key_ids=request.key_ids), None)
    return await _enc_keys(request, caller, desk)


async def _enc_keys(request: KeyRequest, caller: str, desk: KeyDesk) -> Reply:
    status = await desk.status(master=caller, slave=request.slave)
    if status is None:
        desk.application_missing(master=caller, slaves=(request.slave, *request.more_slaves))
        raise _no_application(caller, request.slave)
    check_limits(request, status)
    answer = await desk.get_keys(
        master=caller,
        slave=request.slave,
        number=request.number,
        size_bit=request.size_bit,
        more_slaves=request.more_slaves,
    )
    if answer.status == 503:
        status = await desk.status(master=caller, slave=request.slave)
    return _reply(answer, status)


def _no_application(master: str, slave: str) -> RequestRefused:
    return RequestRefused(
        503,
        f"no application connects master SAE {master} with slave SAE {slave}: "
        "create one (qinetctl application create), or try again if the controller makes it",
        [{"master_SAE_ID": master}, {"slave_SAE_ID": slave}],
        reason="NO_APPLICATION",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _reply(answer: Answer, now: KeyStatus | None) -> Reply:
    if answer.status == 200:
        return keys_reply(answer.keys)
    if answer.status == 401:
        return unauthorised()
    if answer.status == 503:
        details = [] if now is None else [{"stored_key_count": now.stored_key_count}]
        return error_reply(503, answer.message, details, {"Retry-After": str(answer.retry_after_s or RETRY_AFTER_S)})
    return error_reply(answer.status, answer.message)
