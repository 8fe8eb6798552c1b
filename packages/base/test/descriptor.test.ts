import { expect, test } from "vitest";
import { sameEpoch } from "../src/index.ts";

test("an epoch is another one when its bounds or its members have changed", () => {
  const epoch = { bounds: 2, members: 3 };
  expect(sameEpoch(epoch, { bounds: 2, members: 3 })).toBe(true);
  expect(sameEpoch(epoch, { bounds: 3, members: 3 })).toBe(false);
  expect(sameEpoch(epoch, { bounds: 2, members: 4 })).toBe(false);
});
