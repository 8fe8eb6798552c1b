import { afterEach, test } from "vitest";
import { closeAllClusters } from "../cluster/harness.ts";
import { expectChangesUnnoticed } from "./load-and-changes.ts";

afterEach(closeAllClusters);

test("100 splits, 20 moves and two rounds of transfers under half of the maximum of a uniform load: no failed call, no lost write, p99 within 5 times of before or 50 ms", async () => {
  await expectChangesUnnoticed("uniform");
}, 290_000);
