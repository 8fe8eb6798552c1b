import { storeId } from "@flotilla/base";
import type { Environment } from "@flotilla/base";
import { nodeEnvironment } from "@flotilla/platform";
import type { Dialer, Hello, Stream } from "@flotilla/transport";
import { expect, test } from "vitest";
import { refuseOtherCluster } from "../src/joining/refuse-other-cluster.ts";

const own = { clusterId: "a".repeat(32), storeId: storeId(3) };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Timers that run out at once when `late` is called. */
function world(): { environment: Environment; late(): void } {
  const timers = new Set<() => void>();
  const environment: Environment = {
    ...nodeEnvironment(silent),
    scheduler: {
      after: (_delayMs, callback) => {
        timers.add(callback);
        return { cancel: () => void timers.delete(callback) };
      },
      endOfTurn: (callback) => queueMicrotask(callback),
    },
  };
  return { environment, late: () => [...timers].forEach((timer) => timer()) };
}

/** Addresses and what is there: a cluster's id, a refusal, nobody, or somebody who never answers. */
const answers: Readonly<Record<string, string>> = {
  "same:1": own.clusterId,
  "other:1": "WrongCluster",
  "older:1": "b".repeat(32),
  "none:1": "",
  "gone:1": "refused",
};

const dialer: Dialer = {
  dial: (address, hello: Hello, { onOpen, onFailed }) => {
    const answer = answers[address];
    queueMicrotask(() => {
      if (answer === undefined) return;
      if (answer === "WrongCluster") return onFailed({ code: "WrongCluster", message: "", local: false });
      if (answer === "refused") return onFailed({ code: undefined, message: "", local: false });
      onOpen({ hello: { ...hello, clusterId: answer }, close: () => {} } as unknown as Stream);
    });
    return { cancel: () => {} };
  },
};

test.each([
  [["other:1"], "other:1"],
  [["older:1"], "older:1"],
  [["gone:1", "none:1", "other:1"], "other:1"],
])("a store of one cluster is not started with --join %j of another", async (join, named) => {
  await expect(refuseOtherCluster(own, join, { environment: world().environment, dialer })).rejects.toMatchObject({
    code: "WrongCluster",
    message: expect.stringContaining(`${named} is of another one`),
  });
});

test.each([[[]], [["same:1"]], [["gone:1", "none:1"]], [["silent:1", "same:1"]]])(
  "with --join %j it starts as without",
  async (join) => {
    await refuseOtherCluster(own, join, { environment: world().environment, dialer });
  },
);

test("nobody is waited for who does not answer in time", async () => {
  const { environment, late } = world();
  let done = false;
  const checked = refuseOtherCluster(own, ["silent:1"], { environment, dialer }).then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toBe(false);
  late();
  await checked;
});
