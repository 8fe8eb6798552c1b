/**
 * Cluster states and what follows from them, in tables/*.txt: a claim, the state (support/tables.ts), `----`, and what the
 * driver decides, or what was asked for after `>`. `npx vitest run -u` rewrites the output; review it like code.
 */
import { readFileSync, readdirSync } from "node:fs";
import { Failure, nodeId, rangeId, storeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import {
  decide,
  explainRange,
  goalText,
  indexCluster,
  planDecommission,
  planDrain,
  planMerge,
  planMove,
  planScatter,
  planSplit,
  planStoreReplace,
  planTransferLeader,
} from "../src/index.ts";
import type { AdminPlan, ClusterIndex, ClusterState } from "../src/index.ts";
import { SmallRandom } from "./support/small-random.ts";
import { at, parseState } from "./support/tables.ts";

const directory = new URL("tables/", import.meta.url);

function decisions(state: ClusterState): string[] {
  return decide(indexCluster(state)).map(
    ({ rangeId: id, goal, source, reason }) => `range ${id}: ${goalText(goal)} [${source}] ${reason}`,
  );
}

function planLines({ plan }: AdminPlan): string[] {
  return [
    ...plan.steps.map(({ rangeId: id, text, bytes }) => `range ${id}: ${text}, ${bytes ?? "no"} bytes`),
    ...plan.blocked.map(({ rangeId: id, reason }) => `blocked: range ${id}: ${reason}`),
    ...plan.risks.map((risk) => `risk: ${risk}`),
    `in all ${plan.bytes} bytes`,
  ];
}

function plan(index: ClusterIndex, verb: string, words: readonly string[]): AdminPlan {
  const [a, b, c] = words.map(Number) as [number, number, number];
  if (verb === "move") return planMove(index, rangeId(a), storeId(b), storeId(c));
  if (verb === "transfer-leader") return planTransferLeader(index, rangeId(a), storeId(b));
  if (verb === "split-at") return planSplit(index, rangeId(a), { at: words.slice(1).map(at) });
  if (verb === "split-parts") return planSplit(index, rangeId(a), { parts: b });
  if (verb === "merge") return planMerge(index, rangeId(a), words[1] === undefined ? undefined : rangeId(b));
  if (verb === "drain") return planDrain(index, nodeId(a));
  if (verb === "decommission") return planDecommission(index, nodeId(a));
  if (verb === "store-replace") return planStoreReplace(index, storeId(a));
  if (verb === "scatter") return planScatter(index, words.map(Number).map(rangeId), new SmallRandom(7));
  throw new Error(`what is "${verb}"?`);
}

function answer(state: ClusterState, command: string | undefined): string[] {
  if (command === undefined) {
    const lines = decisions(state);
    return lines.length === 0 ? ["nothing"] : lines;
  }
  const [verb, ...words] = command.split(/\s+/) as [string, ...string[]];
  const index = indexCluster(state);
  if (verb === "explain") {
    const lines = explainRange(rangeId(Number(words[0])), index);
    return lines?.map(({ rule, verdict, text }) => `${rule}: ${verdict}: ${text}`) ?? ["not known"];
  }
  try {
    return planLines(plan(index, verb, words));
  } catch (error) {
    if (error instanceof Failure) return [`${error.code}: ${error.message}`];
    throw error;
  }
}

/** The case with its output as it is now. */
function rewritten(text: string): string {
  const [given] = text.split(/\n----(?:\n|$)/) as [string];
  const lines = given.split("\n").filter((line) => line !== "");
  const state = lines.filter((line) => !line.startsWith("#") && !line.startsWith(">"));
  const command = lines
    .find((line) => line.startsWith(">"))
    ?.slice(1)
    .trim();
  return `${given.trim()}\n----\n${answer(parseState(state), command).join("\n")}`;
}

describe("decisions by tables", () => {
  for (const name of readdirSync(directory).sort()) {
    test(name.replace(".txt", ""), async () => {
      const path = new URL(name, directory);
      const cases = readFileSync(path, "utf8")
        .trim()
        .split(/\n\n(?=#)/);
      expect(cases.length).toBeGreaterThan(1);
      await expect(`${cases.map(rewritten).join("\n\n")}\n`).toMatchFileSnapshot(path.pathname);
    });
  }
});
