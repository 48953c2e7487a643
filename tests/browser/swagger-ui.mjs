// Swagger UI as a person uses it: what is clicked and read. Knows nothing of leases.

import assert from "node:assert/strict";

const PATIENCE = { timeout: 20_000 };

export class SwaggerUi {
  // Opens a page of `browser` and follows every request it makes. `strangers` has the addresses of
  // those that do not go to `origin`; they are not let out.
  static async open(browser, address, origin) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1600 } });
    context.setDefaultTimeout(PATIENCE.timeout);
    const ui = new SwaggerUi(await context.newPage(), origin);
    await context.route("**/*", (route) => {
      const url = new URL(route.request().url());
      if (url.origin === origin || url.protocol === "data:") return route.continue();
      ui.strangers.push(url.href);
      return route.abort();
    });
    ui.page.on("pageerror", (error) => ui.faults.push(error.message));
    await ui.page.goto(address);
    await ui.ready();
    return ui;
  }

  constructor(page, origin) {
    Object.assign(this, { page, origin, strangers: [], faults: [] });
  }

  async ready() {
    await this.page.locator(".opblock").first().waitFor(PATIENCE);
  }

  async authorize(token) {
    await this.page.locator(".auth-wrapper .authorize").click();
    const dialog = this.page.locator(".dialog-ux");
    await dialog.locator("input").fill(token);
    await dialog.locator("button.authorize").click();
    await dialog.locator("button.btn-done").click();
  }

  async isAuthorized() {
    return (await this.page.locator(".auth-wrapper .authorize.locked").count()) === 1;
  }

  // Forgets the token, as the button in the dialog does.
  async logout() {
    await this.page.locator(".auth-wrapper .authorize").click();
    const dialog = this.page.locator(".dialog-ux");
    await dialog.locator("button", { hasText: "Logout" }).click();
    await dialog.locator("button.btn-done").click();
  }

  operation(tag, id) {
    return this.page.locator(`#operations-${tag}-${id}`);
  }

  // Unfolds an operation where it is not, and sends it: as it is, with another of its examples, or
  // with other parameters. Answers what the page shows.
  async execute(tag, id, { example, parameters = {} } = {}) {
    const operation = this.operation(tag, id);
    if (!(await operation.evaluate((element) => element.classList.contains("is-open")))) {
      await operation.locator(".opblock-summary-control").click();
    }
    await operation.locator("button.execute").waitFor();
    if (example) {
      await operation.locator(".examples-select-element").first().selectOption({ label: example });
    }
    for (const [name, value] of Object.entries(parameters)) {
      await operation.locator(`tr[data-param-name="${name}"] input`).fill(value);
    }
    const answered = this.page.waitForResponse(
      (response) => response.url().includes("/v1/") && response.request().method() !== "OPTIONS",
      PATIENCE,
    );
    await operation.locator("button.execute").click();
    const response = await answered;
    const shown = operation.locator(".live-responses-table tbody .response").first();
    await shown.getByText(String(response.status()), { exact: true }).first().waitFor();
    const text = await shown.locator(".response-col_description .highlight-code").first().innerText();
    // Swagger UI tells it of what went well.
    const timed = /Request duration/.test(await operation.innerText());
    assert.ok(timed || !response.ok(), `${id} shows no duration`);
    return { status: response.status(), url: response.url(), body: JSON.parse(body(text)) };
  }

  // What a person sees of the page, from the operation on if one is named.
  async screenshot(path, tag, id) {
    if (id) await this.operation(tag, id).evaluate((element) => element.scrollIntoView());
    await this.page.screenshot({ path });
  }

  async close() {
    assert.deepEqual(this.strangers, [], "the page asked others");
    assert.deepEqual(this.faults, [], "scripts of the page failed");
    await this.page.context().close();
  }
}

// The text of the answer, without what the buttons beside it are called.
function body(text) {
  return text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1);
}
