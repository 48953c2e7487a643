# Releases the lease LEASE_NAME that acquire.sh asked for, whether it waits, is ready, or has never come about.
# Takes JUMPSTARTER_GATEWAY_URL, _TOKEN and _NAMESPACE from the environment, too.

lease_status=$(printf 'Authorization: Bearer %s\n' "${JUMPSTARTER_GATEWAY_TOKEN:-none}" |
    curl --silent --show-error --header @- --connect-timeout 10 --max-time 30 --retry 5 --retry-connrefused \
        --output /dev/null --write-out '%{http_code}' --request DELETE \
        "$JUMPSTARTER_GATEWAY_URL/v1/namespaces/${JUMPSTARTER_GATEWAY_NAMESPACE:-default}/leases/$LEASE_NAME" || true)
case $lease_status in
    200) echo "Released $LEASE_NAME" ;;
    # It has ended already, or was never there.
    400 | 404) ;;
    *) echo "$LEASE_NAME could not be released (HTTP status $lease_status); it is held until its time is up"; exit 1 ;;
esac
