import { describe, test } from "vitest";
import { filesConformance } from "@flotilla/platform/conformance";
import { CrashingFiles } from "./crashing-files.ts";

describe("the crashing disk in memory conforms to Files", () => {
  for (const { name, run } of filesConformance)
    test(name, () => run(() => Promise.resolve(new CrashingFiles().process())));
});
