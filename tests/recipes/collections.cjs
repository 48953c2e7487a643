// What Postman and Bruno make of the OpenAPI document, by their own converters: every request of the
// collection is sent, in its order, as a person would who fills in nothing but the address and the token.
// Takes GATEWAY and TOKEN.

const assert = require("node:assert");
const { promisify } = require("node:util");
const postman = require("openapi-to-postmanv2");
const bruno = require("@usebruno/converters");

const { GATEWAY, TOKEN } = process.env;

// Name and status, in the order of the collection. The last ends the token that was used, in an hour.
const expected = [
  ["List exporters", 200],
  ["Get an exporter", 200],
  ["List leases", 200],
  ["Create a lease", 200],
  ["Get a lease", 200],
  ["Update a lease", 200],
  ["Release a lease", 200],
  ["Rotate your token", 200],
];

// The lease's example has a name, which stays taken: each collection uses one of its own.
const renamed = (text, name) => text.replaceAll("nightly-42", name);

async function send(name, method, url, headers, body) {
  const answer = await fetch(url, {
    method,
    headers: { ...headers, authorization: `Bearer ${TOKEN}` },
    body,
  });
  if (!answer.ok) console.error(`${name}: ${method} ${url}`, await answer.text());
  return [name, answer.status];
}

// The settings that docs/recipes/postman.md names.
async function throughPostman(document) {
  const options = {
    folderStrategy: "Tags",
    parametersResolution: "Example",
    enableOptionalParameters: false,
  };
  const input = { type: "string", data: document };
  const converted = await promisify(postman.convertV2)(input, options);
  assert(converted.result, converted.reason);
  const collection = converted.output[0].data;
  assert.deepEqual(collection.variable.map((one) => one.key), ["baseUrl"]);
  assert.equal(collection.auth.type, "bearer");
  // The page says to tick the name of the lease.
  const enabled = (list) => (list ?? []).filter((one) => !one.disabled || one.key === "leaseId");
  const sent = [];
  for (const { name, request } of collection.item.flatMap((folder) => folder.item)) {
    const values = Object.fromEntries(request.url.variable.map((one) => [`:${one.key}`, one.value]));
    const path = request.url.path.map((part) => values[part] ?? part).join("/");
    const query = new URLSearchParams(enabled(request.url.query).map((one) => [one.key, one.value]));
    const url = renamed(`${GATEWAY}/${path}?${query}`, "postman");
    const headers = Object.fromEntries(enabled(request.header).map((one) => [one.key, one.value]));
    sent.push(await send(name, request.method, url, headers, request.body?.raw));
  }
  return sent;
}

async function throughBruno(document) {
  const collection = await bruno.openApiToBruno(JSON.parse(document), { groupBy: "tags" });
  assert.deepEqual(collection.environments[0].variables.map((one) => one.name), ["baseUrl"]);
  const sent = [];
  for (const { name, request } of collection.items.flatMap((folder) => folder.items)) {
    const enabled = (list, type) => list.filter((one) => one.enabled && (!type || one.type === type));
    let url = request.url.replace("{{baseUrl}}", GATEWAY);
    for (const one of enabled(request.params, "path")) url = url.replace(`:${one.name}`, one.value);
    const query = enabled(request.params, "query").map((one) => [one.name, one.value]);
    url = renamed(`${url}?${new URLSearchParams(query)}`, "bruno");
    const headers = Object.fromEntries(enabled(request.headers).map((one) => [one.name, one.value]));
    const body = request.body.json ?? undefined;
    if (body) headers["content-type"] = "application/json";
    sent.push(await send(name, request.method, url, headers, body));
  }
  return sent;
}

async function main() {
  const document = await (await fetch(`${GATEWAY}/openapi.json`)).text();
  assert.deepEqual(await throughPostman(document), expected);
  assert.deepEqual(await throughBruno(document), expected);
  console.log("Postman and Bruno lease a board");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
