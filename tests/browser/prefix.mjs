// A proxy that serves the gateway below a path prefix, as an ingress does. Everything else is 404.

import http from "node:http";

// Listens on a free port of `host`; answers the server and its address with the prefix.
export async function behindPrefix(gateway, prefix) {
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) return response.writeHead(404).end();
    const target = new URL(request.url.slice(prefix.length), gateway);
    const { method, headers } = request;
    const forwarded = http.request(target, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    forwarded.on("error", (error) => response.destroy(error));
    return request.pipe(forwarded);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return { server, address: `http://127.0.0.1:${server.address().port}${prefix}` };
}
