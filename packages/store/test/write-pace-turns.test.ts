/** Writers who are held, on a real store: who goes on, and what the log says of it. */
import { rangeId } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import type { CommandBatch } from "@flotilla/transport";
import { expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const secondRange = rangeId(3);

/** Has always some writes on their way to one range: more than a tick's share of the pace. */
class Writer {
  written = 0;
  readonly #client: RawConnection;
  readonly #range: RangeId;
  readonly #prefix: string;
  #waiting: CommandBatch[] = [];
  #number = 0;

  constructor(client: RawConnection, range: RangeId, prefix: string) {
    this.#client = client;
    this.#range = range;
    this.#prefix = prefix;
  }

  goOn(): void {
    const answered = this.#waiting.filter((batch) => this.#client.answers(batch, batch.floor).length > 0);
    this.written += answered.length;
    this.#waiting = this.#waiting.filter((batch) => !answered.includes(batch));
    while (this.#waiting.length < 5) {
      const number = ++this.#number;
      const value = new Uint8Array(60_000);
      const more = { clientId: this.#range, floor: number };
      const batch = this.#client.batch(this.#range, [put(number, `${this.#prefix}${number}`, value)], more);
      this.#client.send(batch);
      this.#waiting.push(batch);
    }
  }
}

test("while writers are held, both of two ranges on one store go on, and the log says when it begins and ends", async () => {
  const engine = { levelZeroFiles: 4 };
  const cluster = await TestCluster.start({
    stores: 1,
    splitAt: ["m"],
    wrapEngine: (real) => wrapped(real, "levelZeroFiles", () => engine.levelZeroFiles),
  });
  const store = cluster.store(1);
  const client = await cluster.connect(store);
  const writers = [new Writer(client, firstRange, "a"), new Writer(client, secondRange, "p")] as const;
  engine.levelZeroFiles = 9;
  await cluster.runFor(200);
  expect(store.logged("writers are held to a pace")).toMatchObject([{ level: "warn", fields: { levelZeroFiles: 9 } }]);
  for (let ms = 0; ms < 5000; ms += 25) {
    for (const writer of writers) writer.goOn();
    await cluster.runFor(25);
  }
  const [first, second] = writers.map(({ written }) => written) as [number, number];
  // A megabyte a second.
  expect(first + second).toBeGreaterThan(60);
  expect(first + second).toBeLessThan(110);
  expect(Math.min(first, second)).toBeGreaterThan((first + second) / 4);
  expect(store.logged("writers are held no more")).toEqual([]);
  engine.levelZeroFiles = 4;
  await cluster.runFor(200);
  expect(store.logged("writers are held no more")).toHaveLength(1);
  expect(store.logged("writers are held to a pace")).toHaveLength(1);
});
