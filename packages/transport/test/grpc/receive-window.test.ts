import { connect } from "node:http2";
import { Server } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { widenConnectionWindow, widenStreamWindow } from "../../src/grpc/receive-window.ts";
import { listenUnderTest, until } from "./link-under-test.ts";

/** When this fails, grpc-js has changed inside: uploads still work, at a fraction of the speed. See `receive-window.ts`. */
it("the accepting side's windows are wider than HTTP/2's default, for the stream and the connection", async () => {
  const { listener } = await listenUnderTest({ acceptedWindowBytes: 100_000, lingerMs: 100 });
  const session = connect(`http://${listener.address}`);
  session.on("error", () => {});
  try {
    await until(() => session.state.remoteWindowSize === 100_000);
    expect(session.remoteSettings.initialWindowSize).toBe(100_000);
  } finally {
    session.destroy();
    await listener.close();
  }
});

it("a server whose inside looks otherwise is left as it is", () => {
  const other = { bindAsync() {} } as unknown as Server;
  expect(widenStreamWindow(other, 100_000)).toBe(false);
  expect(widenConnectionWindow(other, 100_000)).toBe(false);
  expect(widenConnectionWindow(new Server(), 100_000)).toBe(false);
});
