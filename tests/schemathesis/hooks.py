"""What schemathesis should know of the gateway beyond its document: where the lease that one answer
names is used, and which refusals no schema can foresee, each with its reason.
"""

import json
import re
from decimal import Decimal

import schemathesis

# By the reason in google.rpc.ErrorInfo. Anything else that refuses a request which the document
# allows is a fault: of the document, or of the server.
UNFORESEEN = {
    # What may not exist, be somebody else's, or be there already, is no matter of form.
    "EXPORTER_NOT_FOUND",
    "LEASE_NOT_FOUND",
    "LEASE_ALREADY_EXISTS",
    "NAMESPACE_MISMATCH",
    "NOT_THE_OWNER",
    # The lease has come too far for what is asked.
    "ALREADY_RELEASED",
    "LEASE_ENDED",
    "LEASE_STARTED",
    "ETAG_MISMATCH",
    # The grammar of selectors is not regular.
    "INVALID_FILTER",
    "INVALID_SELECTOR",
    # Made by the server, and opaque: page tokens and ETags.
    "INVALID_ETAG",
    "INVALID_PAGE",
    # Fields that depend on each other: `selector` or `exporterName`, and what `duration`, `beginTime`
    # and `endTime` allow one another, for which some generators of clients have no words.
    "DURATION_CONFLICT",
    "DURATION_NOT_POSITIVE",
    "DURATION_REQUIRED",
    "TARGET_REQUIRED",
    # What depends on the present, or lies before the year 1 or after 9999.
    "END_IN_THE_PAST",
    "LEASE_NOT_STARTED",
    "TIME_OUT_OF_RANGE",
    # How many tags there may be is a setting; keys of maps are beyond many generators.
    "INVALID_CONTEXT",
    "INVALID_TAGS",
    # How much was asked for before.
    "TOO_MANY_ROTATIONS",
    # Paths of fields, and fields that a request may repeat but not change.
    "FIELD_IMMUTABLE",
    "INVALID_UPDATE_MASK",
}


# In seconds (google/protobuf/duration.proto). The document's pattern counts digits only.
LONGEST_DURATION = 315_576_000_000


@schemathesis.check
def valid_requests_are_accepted(_context, response, case):
    """In place of positive_data_acceptance, which can tell refusals apart by their status only."""
    allowed = case.meta is not None and case.meta.generation.mode.is_positive
    if not allowed or not 400 <= response.status_code < 500:
        return
    why = reason(response)
    too_long = why == "INVALID_FIELD" and has_too_long_a_duration(case.body)
    if why not in UNFORESEEN and not too_long:
        raise AssertionError(f"the document allows what is refused as {why}")


def reason(response):
    """The reason of a refusal; none where the answer is something else."""
    try:
        details = json.loads(response.content)["details"]
    except (ValueError, TypeError, KeyError):
        return None
    return next((detail["reason"] for detail in details if "reason" in detail), None)


def has_too_long_a_duration(body):
    """Whether a field of a body is a duration by the document's pattern, but longer than any."""
    if not isinstance(body, dict):
        return False
    strings = [value for value in body.values() if isinstance(value, str)]
    durations = [re.fullmatch(r"-?([0-9]{12})(\.[0-9]{1,9})?s", string) for string in strings]
    return any(match and Decimal(match[1] + (match[2] or "")) > LONGEST_DURATION for match in durations)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Links from a created lease to what can be done with it. The document cannot have them: a link
    of OpenAPI can hand on a field, but not the last part of a resource name.
    """
    lease = raw_schema["paths"]["/v1/namespaces/{namespace}/leases"]["post"]["responses"]["200"]
    parameters = {
        "namespace": "$response.body#/name#regex:^namespaces/([^/]+)",
        "lease": "$response.body#/name#regex:([^/]+)$",
    }
    lease["links"] = {
        operation: {"operationId": operation, "parameters": parameters}
        for operation in ("GetLease", "UpdateLease", "DeleteLease")
    }
