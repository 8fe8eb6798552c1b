/**
 * A store that is of a cluster already and is started with `--join`: the same command line may be used again and again, but
 * not to bring the store into another cluster. Whoever listens at one of the addresses says which one it is.
 */
import { Failure, incarnation, noStore, nodeId } from "@flotilla/base";
import type { Environment } from "@flotilla/base";
import { protocolMax, protocolMin } from "@flotilla/transport";
import type { Dialer, Hello, StreamClosed } from "@flotilla/transport";
import type { Identity } from "../identity/identity-file.ts";

/** Longer nobody is waited for: then the store starts, in its own cluster. */
const answerMsMax = 2000;

type Finding = "same" | "other" | "nobody";

/** Rejects with `WrongCluster` when a node that answers is of another one; resolves as soon as one is of the same. */
export async function refuseOtherCluster(
  { clusterId, storeId }: Pick<Identity, "clusterId" | "storeId">,
  join: readonly string[],
  { environment, dialer }: { readonly environment: Environment; readonly dialer: Dialer },
): Promise<void> {
  const findings = join.map((address) => ask(address, clusterId, environment, dialer));
  const refused = findings.map(async (finding, i) => {
    if ((await finding) !== "other") return;
    throw new Failure(
      "WrongCluster",
      `this directory holds store ${storeId} of cluster ${clusterId}; ${join[i]} is of another one`,
      {
        hint: "join with an empty directory; or leave --join out to start this store in its own cluster",
        details: { clusterId, address: join[i] },
      },
    );
  });
  await Promise.race([Promise.all(refused), anySame(findings)]);
  // Whoever answers later is of no interest.
  for (const finding of refused) finding.catch(() => {});
}

function anySame(findings: readonly Promise<Finding>[]): Promise<void> {
  return new Promise((resolve) => {
    for (const finding of findings) void finding.then((found) => found === "same" && resolve());
  });
}

function ask(address: string, clusterId: string, { clock, scheduler }: Environment, dialer: Dialer): Promise<Finding> {
  const hello: Hello = {
    protocolMin,
    protocolMax,
    clusterId,
    nodeId: nodeId(0),
    storeId: noStore,
    storeKey: "",
    incarnation: incarnation(0),
    wallMs: clock.wallMs(),
    leaseMs: 0,
    purpose: "client",
    address: "",
  };
  return new Promise((resolve) => {
    const timer = scheduler.after(answerMsMax, () => {
      dial.cancel();
      resolve("nobody");
    });
    const found = (finding: Finding): void => {
      timer.cancel();
      resolve(finding);
    };
    const dial = dialer.dial(address, hello, {
      onOpen(stream) {
        const { clusterId: theirs } = stream.hello;
        // Empty: a node that has none yet.
        found(theirs === clusterId ? "same" : theirs === "" ? "nobody" : "other");
        stream.close();
        return { onMessage: () => {}, onClose: () => {} };
      },
      onFailed: ({ code }: StreamClosed) => found(code === "WrongCluster" ? "other" : "nobody"),
    });
  });
}
