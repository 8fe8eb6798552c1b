import { describe, expect, it } from "vitest";
import { Group } from "./support/group.ts";

describe("replication", () => {
  it("a proposal of the leader is applied by every replica", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    expect(leader.propose("a").ok).toBe(true);
    expect(leader.propose("b").ok).toBe(true);
    group.settle();
    for (const replica of group.replicas.values()) expect(replica.state).toEqual(["a", "b"]);
  });
});
