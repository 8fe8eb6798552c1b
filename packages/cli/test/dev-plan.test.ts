import { expect, test } from "vitest";
import { devNodes, parseDevOptions } from "../src/dev/dev-plan.ts";

test("dev hands --split-bytes on to each of its nodes, in bytes, and nothing that was not given", () => {
  const settingsOf = (options: Record<string, unknown>): unknown[] =>
    devNodes(parseDevOptions(options, "/somewhere"), 2, "/somewhere").map(({ settings }) => settings);
  expect(settingsOf({ splitBytes: "16MiB" })).toEqual([{ splitBytes: 16_777_216 }, { splitBytes: 16_777_216 }]);
  expect(settingsOf({})).toEqual([{}, {}]);
});

test("dev refuses what no node would take, before anything is started", () => {
  for (const splitBytes of ["1KiB", "16 apples", "many"])
    expect(() => parseDevOptions({ splitBytes }, "/somewhere")).toThrow(
      expect.objectContaining({ code: "InvalidArgument", message: expect.stringContaining("--split-bytes") }),
    );
});
