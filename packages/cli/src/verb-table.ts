/**
 * The verbs that need a client and nothing more: where each stands, what it does in a line, and its module, which is loaded
 * only when it is the one called. They are what is bundled for a fast start (`quick-main.ts`); the others are in
 * `all-verbs.ts`.
 */
import type { VerbModule } from "./command-io.ts";

export interface VerbEntry {
  readonly path: readonly string[];
  readonly summary: string;
  load(): Promise<VerbModule>;
}

export const groups: Readonly<Record<string, string>> = {
  cluster: "the cluster as a whole",
  node: "its nodes",
  store: "its stores",
  range: "its ranges",
  operator: "what the placement driver does with ranges",
  scheduler: "what the placement driver does by itself",
  bench: "measure it",
  import: "files into the cluster",
  export: "the cluster into files",
  config: "settings of a node",
  debug: "when something is wrong",
};

export const keyVerbs: readonly VerbEntry[] = [
  { path: ["put"], summary: "write a value", load: () => import("./verbs/put.ts") },
  { path: ["get"], summary: "read a value", load: () => import("./verbs/get.ts") },
  { path: ["delete"], summary: "delete a key, or all keys with a prefix", load: () => import("./verbs/delete.ts") },
  { path: ["scan"], summary: "list keys and values in order", load: () => import("./verbs/scan.ts") },
];

export const adminVerbs: readonly VerbEntry[] = [
  {
    path: ["cluster", "init"],
    summary: "make a cluster of the nodes that --peers named, once",
    load: () => import("./verbs/cluster-init.ts"),
  },
  { path: ["cluster", "status"], summary: "health and totals", load: () => import("./verbs/cluster-status.ts") },
  {
    path: ["cluster", "health"],
    summary: "exit code 0 when all is well",
    load: () => import("./verbs/cluster-health.ts"),
  },
  {
    path: ["node", "list"],
    summary: "all nodes",
    load: () => import("./verbs/node-list.ts"),
  },
  {
    path: ["node", "drain"],
    summary: "let a node lead nothing, for maintenance",
    load: () => import("./verbs/node-drain.ts"),
  },
  {
    path: ["node", "decommission"],
    summary: "move everything off a node, for good",
    load: () => import("./verbs/node-decommission.ts"),
  },
  {
    path: ["node", "recommission"],
    summary: "take a decommission back",
    load: () => import("./verbs/node-recommission.ts"),
  },
  {
    path: ["store", "list"],
    summary: "all stores",
    load: () => import("./verbs/store-list.ts"),
  },
  {
    path: ["store", "show"],
    summary: "one store",
    load: () => import("./verbs/store-show.ts"),
  },
  {
    path: ["store", "replace"],
    summary: "give up a dead store and make its replicas anew",
    load: () => import("./verbs/store-replace.ts"),
  },
  {
    path: ["range", "list"],
    summary: "all ranges",
    load: () => import("./verbs/range-list.ts"),
  },
  {
    path: ["range", "show"],
    summary: "one range, its replicas, and what is done with it",
    load: () => import("./verbs/range-show.ts"),
  },
  {
    path: ["range", "split"],
    summary: "divide a range",
    load: () => import("./verbs/range-split.ts"),
  },
  {
    path: ["range", "merge"],
    summary: "make one range of two neighbours",
    load: () => import("./verbs/range-merge.ts"),
  },
  {
    path: ["range", "move"],
    summary: "a replica from one store to another",
    load: () => import("./verbs/range-move.ts"),
  },
  {
    path: ["range", "transfer-leader"],
    summary: "let another replica lead",
    load: () => import("./verbs/range-transfer-leader.ts"),
  },
  {
    path: ["range", "scatter"],
    summary: "spread replicas and leaders over the stores",
    load: () => import("./verbs/range-scatter.ts"),
  },
  {
    path: ["range", "explain"],
    summary: "what placement thinks of a range, rule by rule",
    load: () => import("./verbs/range-explain.ts"),
  },
  {
    path: ["range", "check"],
    summary: "do all replicas hold the same",
    load: () => import("./verbs/range-check.ts"),
  },
  {
    path: ["range", "colocate"],
    summary: "never divide keys with a prefix",
    load: () => import("./verbs/range-colocate.ts"),
  },
  {
    path: ["operator", "list"],
    summary: "operators under way",
    load: () => import("./verbs/operator-list.ts"),
  },
  {
    path: ["operator", "show"],
    summary: "one operator, step by step",
    load: () => import("./verbs/operator-show.ts"),
  },
  {
    path: ["operator", "cancel"],
    summary: "end an operator early",
    load: () => import("./verbs/operator-cancel.ts"),
  },
  {
    path: ["operator", "watch"],
    summary: "a line for each change",
    load: () => import("./verbs/operator-watch.ts"),
  },
  {
    path: ["scheduler", "list"],
    summary: "what runs by itself, and what is paused",
    load: () => import("./verbs/scheduler-list.ts"),
  },
  {
    path: ["scheduler", "pause"],
    summary: "let one of them rest",
    load: () => import("./verbs/scheduler-pause.ts"),
  },
  {
    path: ["scheduler", "resume"],
    summary: "let it go on",
    load: () => import("./verbs/scheduler-resume.ts"),
  },
  {
    path: ["top"],
    summary: "what stores do and which ranges are hottest, live",
    load: () => import("./verbs/top.ts"),
  },
  {
    path: ["unsafe-recover"],
    summary: "go on without stores that took the majority of ranges with them",
    load: () => import("./verbs/unsafe-recover.ts"),
  },
];

export const versionVerb: VerbEntry = {
  path: ["version"],
  summary: "the version of this command",
  load: () => import("./verbs/version.ts"),
};

export const clientVerbs: readonly VerbEntry[] = [...keyVerbs, ...adminVerbs, versionVerb];
