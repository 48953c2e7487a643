"""Leases a board with the generated client, works with it, and releases it whatever happens.

Takes GATEWAY, the address, and TOKEN from the environment. The client is made by

    openapi-python-client generate --url "$GATEWAY/openapi.json" --meta none --output-path jumpstarter_client
"""

import os
import signal
import sys
from contextlib import contextmanager

import httpx
from jumpstarter_client import AuthenticatedClient
from jumpstarter_client.api.leases import create_lease, delete_lease, update_lease
from jumpstarter_client.models import Lease, LeaseInput, LeasePatch, Status

NAMESPACE = "default"


class Refused(Exception):
    """The gateway said no. `reason` is the stable word for it."""

    def __init__(self, status: Status):
        super().__init__(status.message)
        details = [detail.additional_properties for detail in status.details or []]
        self.reason = next((one["reason"] for one in details if "reason" in one), "")


def checked(answer):
    """The generated functions return refusals; here they are raised."""
    if isinstance(answer, Status):
        raise Refused(answer)
    return answer


@contextmanager
def leased(gateway, selector, seconds=1800, wait=300):
    """A lease of an exporter that matches the selector, ready to be used.

    The wait is one request; if this process dies meanwhile, the gateway releases the lease.
    """
    lease: Lease = checked(
        create_lease.sync(
            NAMESPACE,
            client=gateway,
            body=LeaseInput(selector=selector, duration=f"{seconds}s"),
            prefer=f"wait={wait}, on-timeout=release",
        )
    )
    if not lease.exporter:
        # It has ended: nothing can satisfy it, and its last condition says why.
        raise LookupError(lease.conditions[-1].message)
    try:
        yield lease
    finally:
        delete_lease.sync(NAMESPACE, last(lease.name), client=gateway)


def extend(gateway, lease, seconds):
    """Gives a lease a new whole length."""
    patch = LeasePatch(duration=f"{seconds}s")
    return checked(update_lease.sync(NAMESPACE, last(lease.name), client=gateway, body=patch))


def last(name):
    return name.rsplit("/")[-1]


def main():
    # So that `finally` is heard when a pipeline is cancelled.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    patience = httpx.Timeout(330)
    gateway = AuthenticatedClient(os.environ["GATEWAY"], os.environ["TOKEN"], timeout=patience)
    with gateway, leased(gateway, "board=rpi4") as lease:
        print("leased", last(lease.exporter))
        lease = extend(gateway, lease, 3600)
        print("for", lease.duration)
        # Here the work is done.

        try:
            with leased(gateway, "board=rpi4", wait=1):
                print("there is only one rpi4: this is never reached")
        except Refused as refused:
            print("nobody else gets it:", refused.reason)
        try:
            with leased(gateway, "board=rpi9"):
                print("there is no rpi9: this is never reached")
        except LookupError as error:
            print(error)


if __name__ == "__main__":
    main()
