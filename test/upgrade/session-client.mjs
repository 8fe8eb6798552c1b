/**
 * A client that chooses its own id and numbers, as no real one does: so that a command can be sent once to one release and
 * again, years later, to another one.
 */
import { nodeEnvironment, silentLogger } from "@flotilla/platform";
import { createCodec, protocolMax, protocolMin } from "@flotilla/transport";
import { GrpcDialer } from "@flotilla/transport/grpc";

/**
 * @typedef {object} Command
 * @property {number} clientId
 * @property {number} number
 * @property {"put" | "delete"} kind
 * @property {"none" | "if-absent" | "if-version"} condition
 * @property {string} key
 * @property {string} value
 * @property {number} firstSent
 *
 * @typedef {object} Outcome
 * @property {string} status
 * @property {number} version
 * @property {boolean} existed
 */

const answerMsMax = 20_000;
const pollMs = 20;
const userPrefix = "\x01";

/**
 * Sends the command until a leader answers it.
 * @param {readonly string[]} endpoints
 * @param {Command} command
 * @returns {Promise<Outcome>}
 */
export async function sendCommand(endpoints, command) {
  const untilMs = performance.now() + answerMsMax;
  for (;;) {
    for (const endpoint of endpoints) {
      const outcome = await attempt(endpoint, command);
      if (outcome !== undefined) return outcome;
    }
    if (performance.now() > untilMs) throw new Error(`no leader took command ${command.number}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/**
 * @param {string} endpoint
 * @param {Command} command
 * @returns {Promise<Outcome | undefined>} undefined: this store could not answer
 */
async function attempt(endpoint, command) {
  const environment = nodeEnvironment(silentLogger);
  const codec = createCodec(environment.bytes);
  const key = /** @type {any} */ (userPrefix + command.key);
  const none = /** @type {any} */ (0);
  return new Promise((resolve, reject) => {
    /** @type {import("@flotilla/transport").Stream | undefined} */
    let stream;
    const timeout = setTimeout(() => finish(undefined), 2000);
    /** @param {Outcome | undefined} outcome */
    const finish = (outcome) => {
      clearTimeout(timeout);
      stream?.close();
      resolve(outcome);
    };
    /** @param {import("@flotilla/transport").ServerMessage} message */
    const receive = (message) => {
      if (message.type === "route-response") {
        const range = message.ranges[0]?.descriptor;
        if (range === undefined) return finish(undefined);
        stream?.send(
          codec.encodeClient([
            {
              type: "commands",
              batchId: 2,
              rangeId: range.rangeId,
              bounds: range.epoch.bounds,
              clientId: command.clientId,
              floor: 1,
              seen: none,
              commands: [
                {
                  number: command.number,
                  kind: command.kind,
                  condition: command.condition,
                  expected: none,
                  firstSent: /** @type {any} */ (command.firstSent),
                  key,
                  value: Buffer.from(command.value),
                },
              ],
            },
          ]),
        );
      } else if (message.type === "range-refused") finish(undefined);
      else if (message.type === "command-results") {
        const { status, version, existed, code, message: text } = message.results[0] ?? fail();
        if (status === "refused") reject(new Error(`${code}: ${text}`));
        else finish(status === "unknown" ? undefined : { status, version, existed });
      }
    };
    const hello = {
      protocolMin,
      protocolMax,
      clusterId: "",
      nodeId: none,
      storeId: none,
      storeKey: "",
      incarnation: none,
      wallMs: Date.now(),
      leaseMs: 0,
      purpose: /** @type {const} */ ("client"),
      address: "",
    };
    new GrpcDialer({}, environment).dial(endpoint, hello, {
      onOpen(opened) {
        stream = opened;
        const end = /** @type {any} */ (`${key}\0`);
        queueMicrotask(() =>
          stream?.send(codec.encodeClient([{ type: "route", requestId: 1, start: key, end, limit: 1 }])),
        );
        return {
          onMessage: (payload) => codec.decodeServer(payload).forEach(receive),
          onClose: () => finish(undefined),
        };
      },
      onFailed: () => finish(undefined),
    });
  });
}

/** @returns {never} */
function fail() {
  throw new Error("an answer without a result");
}
