import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { members } from "./example/three-members.ts";

it("the group of three in the README runs, and every member has the proposal", () => {
  expect(members[0]!.node.role).toBe("leader");
  expect(members.map(({ state }) => state)).toEqual([["hello"], ["hello"], ["hello"]]);
});

it("the README shows the code that runs", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const code = readFileSync(new URL("./example/three-members.ts", import.meta.url), "utf8");
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown?.trim()).toBe(code.trim());
});
