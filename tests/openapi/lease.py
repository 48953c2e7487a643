"""Leases a board with the generated Python client, as a pipeline would: takes GATEWAY and TOKEN."""

import os

from client import AuthenticatedClient
from client.api.exporters import get_exporter
from client.api.leases import create_lease, delete_lease, get_lease, list_leases, update_lease
from client.models import ExporterStatus, Lease, LeaseInput, LeaseInputTags, LeasePatch, Status

NAMESPACE, LEASE = "default", "from-python"


def is_ready(lease):
    return any(one.type_ == "Ready" and one.status == "True" for one in lease.conditions)


with AuthenticatedClient(os.environ["GATEWAY"], os.environ["TOKEN"]) as gateway:
    tags = LeaseInputTags.from_dict({"pipeline": "4711"})
    wanted = LeaseInput(selector="board=rpi5", duration="600s", tags=tags)
    lease = create_lease.sync(
        NAMESPACE, client=gateway, body=wanted, lease_id=LEASE, prefer="wait=30"
    )
    assert isinstance(lease, Lease) and is_ready(lease), lease
    assert lease.tags["pipeline"] == "4711", lease

    lease = get_lease.sync(NAMESPACE, LEASE, client=gateway, prefer="wait=30")
    assert isinstance(lease, Lease) and is_ready(lease), lease
    exporter = get_exporter.sync(NAMESPACE, lease.exporter.rsplit("/")[-1], client=gateway)
    assert exporter.status is ExporterStatus.EXPORTER_STATUS_AVAILABLE, exporter
    assert exporter.labels["board"] == "rpi5", exporter

    listed = list_leases.sync(NAMESPACE, client=gateway, tag_filter="pipeline=4711", page_size=10)
    assert [one.name for one in listed.leases] == [lease.name], listed

    changed = update_lease.sync(NAMESPACE, LEASE, client=gateway, body=LeasePatch(duration="900s"))
    assert isinstance(changed, Lease) and changed.duration == "900s", changed

    answer = update_lease.sync_detailed(
        NAMESPACE, LEASE, client=gateway, body=LeasePatch(duration="1s"), if_match='"0"'
    )
    assert answer.status_code == 412 and isinstance(answer.parsed, Status), answer

    delete_lease.sync(NAMESPACE, LEASE, client=gateway)
    ended = get_lease.sync(NAMESPACE, LEASE, client=gateway)
    assert not is_ready(ended) and ended.effective_end_time, ended

with AuthenticatedClient(os.environ["GATEWAY"], "nobody's") as stranger:
    refusal = list_leases.sync(NAMESPACE, client=stranger)
    assert isinstance(refusal, Status) and refusal.code == 16, refusal

print("the Python client leases a board")
