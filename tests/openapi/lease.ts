// Leases a board with the generated TypeScript types and openapi-fetch, as a web page would: takes
// GATEWAY and TOKEN. That it compiles is half of the test.

import createClient from "openapi-fetch";
import type { components, paths } from "./client";

type Lease = components["schemas"]["Lease"];

function assert(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

const isReady = (lease: Lease) =>
  lease.conditions.some(({ type, status }) => type === "Ready" && status === "True");

const { GATEWAY: baseUrl = "", TOKEN } = process.env;
const headers = { Authorization: `Bearer ${TOKEN}` };
// JSON, where an answer could be followed as a stream of events too.
const gateway = createClient<paths, "application/json">({ baseUrl, headers });
const LEASES = "/v1/namespaces/{namespace}/leases";
const LEASE = "/v1/namespaces/{namespace}/leases/{lease}";
const place = { namespace: "default" };
const path = { ...place, lease: "from-typescript" };

const created = await gateway.POST(LEASES, {
  params: { path: place, query: { leaseId: path.lease }, header: { Prefer: "wait=30" } },
  body: { selector: "board=rpi5", duration: "600s", tags: { pipeline: "4712" } },
});
assert(created.data !== undefined && isReady(created.data), created);

const read = await gateway.GET(LEASE, { params: { path } });
assert(read.data !== undefined && isReady(read.data), read);
const exporter: string = read.data.exporter ?? "";
assert(exporter.startsWith("namespaces/default/exporters/rpi5-"), read.data);

const query = { filter: "gateway.jumpstarter.dev/state=ready", tagFilter: "pipeline=4712" };
const listed = await gateway.GET(LEASES, { params: { path: place, query } });
assert(listed.data?.leases.length === 1 && listed.data.nextPageToken === "", listed);

const changed = await gateway.PATCH(LEASE, { params: { path }, body: { duration: "900s" } });
assert(changed.data?.duration === "900s", changed);

const outdated = { path, header: { "If-Match": '"0"' } };
const refused = await gateway.DELETE(LEASE, { params: outdated });
assert(refused.response.status === 412 && refused.error?.code === 10, refused);

const released = await gateway.DELETE(LEASE, { params: { path } });
assert(released.response.ok, released);
const ended = await gateway.GET(LEASE, { params: { path } });
assert(ended.data !== undefined && !isReady(ended.data), ended);

console.log("the TypeScript client leases a board");
