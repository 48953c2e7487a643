// Swagger UI in a real browser against a live gateway: a newcomer leases a board with nothing but
// the page. Takes GATEWAY, TOKEN and COLLEAGUE_TOKEN as tests/live/with-gateway sets them, CHROMIUM,
// and SCREENSHOTS, the folder for pictures of what was seen.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

import { behindPrefix } from "./prefix.mjs";
import { SwaggerUi } from "./swagger-ui.mjs";

const { GATEWAY, TOKEN, COLLEAGUE_TOKEN, CHROMIUM, SCREENSHOTS } = process.env;
const HOST = "gateway.lab.example";

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", `--host-resolver-rules=MAP ${HOST} 127.0.0.1`],
  });
});
after(() => browser?.close());

const open = (path = "/", gateway = GATEWAY) =>
  SwaggerUi.open(browser, gateway + path, new URL(gateway).origin);
const picture = (name) => `${SCREENSHOTS}/${name}.png`;
const isReady = ({ conditions }) =>
  conditions.some(({ type, status }) => type === "Ready" && status === "True");

test("a newcomer leases a board, extends it, hands it over, and it is released", async () => {
  const ui = await open();
  assert.equal(ui.page.url(), `${GATEWAY}/swagger-ui/`, "/ leads to Swagger UI");
  await ui.screenshot(picture("1-page"));

  const stranger = await ui.execute("Exporters", "ListExporters");
  assert.equal(stranger.status, 401, "without a token");
  await ui.authorize(TOKEN);
  const { body: page } = await ui.execute("Exporters", "ListExporters");
  assert.ok(page.exporters.some(({ labels }) => labels.board === "rpi4"), JSON.stringify(page));
  await ui.screenshot(picture("2-exporters"), "Exporters", "ListExporters");

  const created = await ui.execute("Leases", "CreateLease");
  assert.equal(created.status, 200, JSON.stringify(created.body));
  assert.ok(isReady(created.body), JSON.stringify(created.body));
  await ui.screenshot(picture("3-create"), "Leases", "CreateLease");

  const read = await ui.execute("Leases", "GetLease");
  assert.equal(read.body.name, created.body.name, "the examples are of one lease");

  const extended = await ui.execute("Leases", "UpdateLease");
  assert.equal(extended.body.duration, "3600s", JSON.stringify(extended.body));
  await ui.screenshot(picture("4-extend"), "Leases", "UpdateLease");
  const handed = await ui.execute("Leases", "UpdateLease", { example: "Hand it to a colleague" });
  assert.equal(handed.body.client, "namespaces/default/clients/ada", JSON.stringify(handed.body));
  const lost = await ui.execute("Leases", "DeleteLease");
  assert.equal(lost.status, 403, "it is the colleague's now");

  await ui.logout();
  await ui.authorize(COLLEAGUE_TOKEN);
  const released = await ui.execute("Leases", "DeleteLease");
  assert.deepEqual([released.status, released.body], [200, {}]);
  await ui.screenshot(picture("5-release"), "Leases", "DeleteLease");
  const again = await ui.execute("Leases", "CreateLease");
  assert.equal(again.status, 409, JSON.stringify(again.body));
  const other = await ui.execute("Leases", "CreateLease", { parameters: { leaseId: "nightly-43" } });
  assert.ok(isReady(other.body), JSON.stringify(other.body));
  await ui.close();
});

test("the token is kept over a reload", async () => {
  const ui = await open("/swagger-ui/");
  await ui.authorize(TOKEN);
  await ui.page.reload();
  await ui.ready();
  assert.ok(await ui.isAuthorized(), "the token is forgotten");
  assert.equal((await ui.execute("Leases", "ListLeases")).status, 200);
  await ui.close();
});

test("a link to an operation opens it, and the filter box narrows the page", async () => {
  const ui = await open("/swagger-ui/#/Leases/CreateLease");
  await ui.operation("Leases", "CreateLease").locator("button.execute").waitFor();
  assert.equal(await ui.page.locator(".opblock.is-open").count(), 1, "one operation is open");

  await ui.page.locator("input.operation-filter-input").fill("Tokens");
  await ui.operation("Leases", "ListLeases").waitFor({ state: "detached" });
  assert.equal(await ui.page.locator(".opblock").count(), 1, "operations of Tokens");
  await ui.screenshot(picture("6-filter"));
  await ui.close();
});

test("it works behind a path prefix", async () => {
  const { server, address } = await behindPrefix(GATEWAY, "/labs/berlin");
  try {
    const ui = await open("/", address);
    assert.equal(ui.page.url(), `${address}/swagger-ui/`);
    await ui.authorize(TOKEN);
    const listed = await ui.execute("Exporters", "ListExporters");
    assert.equal(listed.url, `${address}/v1/namespaces/default/exporters`);
    assert.equal(listed.status, 200);
    await ui.close();
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("it works on another host name, and asks nobody else", async () => {
  const gateway = `http://${HOST}:${new URL(GATEWAY).port}`;
  const ui = await open("/", gateway);
  await ui.authorize(TOKEN);
  const read = await ui.execute("Exporters", "GetExporter");
  assert.equal(read.url, `${gateway}/v1/namespaces/default/exporters/rpi4-01`);
  assert.equal(read.status, 200);
  await ui.close();
});
