import { describe, it } from "vitest";
import { linkConformance } from "@flotilla/transport/conformance";
import { makeParties } from "./parties.ts";

describe("the gRPC link", () => {
  for (const { name, run } of linkConformance) it(name, () => run(() => makeParties()));
});
