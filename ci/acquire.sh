# Leases an exporter for a job, and waits until it is ready. For a POSIX shell with curl 7.82 or later; to
# be sourced, so that what comes after finds JUMPSTARTER_GATEWAY_LEASE and JUMPSTARTER_GATEWAY_EXPORTER.
#
# Takes from the environment: LEASE_NAME, which must be new for each job; LEASE_SELECTOR; LEASE_SECONDS, how
# long to hold it; LEASE_WAIT, how many seconds to wait for it; and JUMPSTARTER_GATEWAY_URL, _TOKEN and
# _NAMESPACE. The name is known beforehand, so release.sh finds the lease whatever becomes of this.
# Exits with 75 if the lease is not ready in time, 78 if nothing can satisfy it, 1 if it is refused.

lease_url="$JUMPSTARTER_GATEWAY_URL/v1/namespaces/${JUMPSTARTER_GATEWAY_NAMESPACE:-default}/leases"

# The token goes through a pipe: everybody on this machine can see command lines. Repeating is safe,
# because the same request under the same name creates one lease.
lease_call() {
    printf 'Authorization: Bearer %s\n' "${JUMPSTARTER_GATEWAY_TOKEN:-none}" |
        curl --silent --show-error --fail-with-body --header @- --connect-timeout 10 --max-time 120 \
            --retry 5 --retry-connrefused "$@" || { echo; return 1; }
}

lease_deadline=$(($(date +%s) + LEASE_WAIT))
lease=$(lease_call "$lease_url?leaseId=$LEASE_NAME" \
    --json "{\"selector\": \"$LEASE_SELECTOR\", \"duration\": \"${LEASE_SECONDS}s\"}") ||
    { echo "$lease"; exit 1; }
while :; do
    lease_message=$(echo "$lease" | sed 's/.*"message": *"\([^"]*\)".*/\1/')
    case $lease in
        *'"exporter":'*) break ;;
        *'"effectiveEndTime":'*) echo "There is no such lease to be had: $lease_message"; exit 78 ;;
    esac
    lease_left=$((lease_deadline - $(date +%s)))
    [ "$lease_left" -gt 0 ] || { echo "Not in time: $lease_message"; exit 75; }
    echo "Waiting: $lease_message"
    # A minute at a time, so that the log shows how the queue moves.
    [ "$lease_left" -lt 60 ] || lease_left=60
    lease=$(lease_call "$lease_url/$LEASE_NAME" --header "Prefer: wait=$lease_left") ||
        { echo "$lease"; exit 1; }
done
export JUMPSTARTER_GATEWAY_LEASE="$LEASE_NAME"
JUMPSTARTER_GATEWAY_EXPORTER=$(echo "$lease" | sed 's/.*"exporter": *"[^"]*\/\([^"]*\)".*/\1/')
export JUMPSTARTER_GATEWAY_EXPORTER
echo "Leased $JUMPSTARTER_GATEWAY_EXPORTER as $LEASE_NAME"
