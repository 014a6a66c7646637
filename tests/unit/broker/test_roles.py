"""Our own users of the broker."""

import pytest

from broker.dynsec import initial_config
from broker.roles import MOST_WORKERS, SERVICES, Role, gateway_user, ingest_user, live_user, state_user

PASSWORDS = dict.fromkeys(SERVICES, "secret")


def test_the_first_worker_has_the_plain_names_and_each_other_its_own() -> None:
    users = (gateway_user, ingest_user, live_user, state_user)
    assert [user(0) for user in users] == ["gateway", "gateway-ingest", "gateway-live", "gateway-state"]
    names = {user(worker) for user in users for worker in range(MOST_WORKERS)}
    assert len(names) == 4 * MOST_WORKERS
    assert all(SERVICES[name] is Role.GATEWAY for name in names)


@pytest.mark.parametrize("worker", [-1, MOST_WORKERS])
def test_there_are_no_more_workers_than_the_broker_knows(worker: int) -> None:
    with pytest.raises(ValueError, match="the broker knows the workers 0 to 7"):
        ingest_user(worker)


def test_an_installation_of_before_gets_the_users_that_are_new_and_keeps_its_own() -> None:
    old = initial_config("enms", PASSWORDS)
    old["clients"] = [one for one in old["clients"] if one["username"] in {"gateway", "gateway-ingest"}]
    old["clients"].append({"username": "press-7", "roles": [{"rolename": "device:press-7"}]})
    old["roles"].append({"rolename": "device:press-7", "acls": []})
    new = initial_config("enms", PASSWORDS, old)
    assert {one["username"] for one in new["clients"]} == {*SERVICES, "press-7"}
    assert len(new["clients"]) == len(SERVICES) + 1
    roles = {one["rolename"] for one in new["roles"]}
    for client in new["clients"]:
        assert {one["rolename"] for one in client["roles"]} <= roles
