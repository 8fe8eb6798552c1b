import { expect, test } from "vitest";
import { endpointReason } from "../src/endpoint-reason.ts";

test("of what gRPC says of a refused connection only the reason is left, and anything else is kept", () => {
  const refused =
    "14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:7400. Resolution note: ";
  expect(endpointReason("127.0.0.1:7400", `127.0.0.1:7400: ${refused}`)).toBe("connect ECONNREFUSED 127.0.0.1:7400");
  const noName = "14 UNAVAILABLE: Name resolution failed for target dns:nowhere:7400";
  expect(endpointReason("nowhere:7400", `nowhere:7400: ${noName}`)).toBe(
    "Name resolution failed for target dns:nowhere:7400",
  );
  expect(endpointReason("a:1", "b:2: it has gone")).toBe("b:2: it has gone");
  expect(endpointReason("a:1", "a:1 has not answered for 900 ms")).toBe("a:1 has not answered for 900 ms");
});
