import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { HttpEndpoint, jsonAnswer } from "../src/http/http-endpoint.ts";

const open: HttpEndpoint[] = [];
afterEach(async () => {
  for (const endpoint of open.splice(0)) await endpoint.close();
});

async function listen(routes: Parameters<typeof HttpEndpoint.listen>[1]): Promise<string> {
  const endpoint = await HttpEndpoint.listen("127.0.0.1:0", routes);
  open.push(endpoint);
  return `http://${endpoint.address}`;
}

test("answers known paths, and says which there are for others", async () => {
  const url = await listen({ "/healthz": async () => jsonAnswer(200, { status: "ok" }) });
  const response = await fetch(`${url}/healthz?verbose`);
  expect([response.status, response.headers.get("content-type"), await response.json()]).toEqual([
    200,
    "application/json",
    { status: "ok" },
  ]);
  for (const path of ["/", "/nope", "/constructor", "/__proto__"]) expect((await fetch(url + path)).status).toBe(404);
  expect((await fetch(`${url}/healthz`, { method: "POST", body: "x" })).status).toBe(405);
});

test("I6 a handler that throws answers 503, and the next request is served", async () => {
  let calls = 0;
  const url = await listen({
    "/readyz": async () => {
      if (calls++ === 0) throw new Error("not now");
      return jsonAnswer(200, {});
    },
  });
  const failed = await fetch(`${url}/readyz`);
  expect([failed.status, await failed.json()]).toEqual([503, { error: "not now" }]);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

test("a port that is taken is InUse and names the address", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  await expect(HttpEndpoint.listen(`127.0.0.1:${port}`, {})).rejects.toMatchObject({
    code: "InUse",
    message: expect.stringContaining(String(port)),
  });
  await new Promise((resolve) => other.close(resolve));
});
