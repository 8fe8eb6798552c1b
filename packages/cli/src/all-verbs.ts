/** Every verb, in the order of the help: those that need a client only, and those that bring a server, files or measurements. */
import { adminVerbs, keyVerbs, versionVerb } from "./verb-table.ts";
import type { VerbEntry } from "./verb-table.ts";

export const allVerbs: readonly VerbEntry[] = [
  {
    path: ["dev"],
    summary: "a local cluster of real processes, in the foreground",
    load: () => import("./verbs/dev.ts"),
  },
  { path: ["start"], summary: "one node", load: () => import("./verbs/start.ts") },
  ...keyVerbs,
  { path: ["import", "jsonl"], summary: "lines of JSON", load: () => import("./verbs/import-jsonl.ts") },
  { path: ["import", "dir"], summary: "the files of a directory", load: () => import("./verbs/import-dir.ts") },
  { path: ["export", "jsonl"], summary: "lines of JSON", load: () => import("./verbs/export-jsonl.ts") },
  { path: ["export", "dir"], summary: "files in a directory", load: () => import("./verbs/export-dir.ts") },
  ...adminVerbs,
  { path: ["bench", "put"], summary: "how many writes a second", load: () => import("./verbs/bench-put.ts") },
  { path: ["bench", "get"], summary: "how many reads a second", load: () => import("./verbs/bench-get.ts") },
  { path: ["bench", "mixed"], summary: "reads and writes together", load: () => import("./verbs/bench-mixed.ts") },
  { path: ["bench", "scan"], summary: "short scans", load: () => import("./verbs/bench-scan.ts") },
  {
    path: ["bench", "read-modify-write"],
    summary: "read a value, write it back on condition that nobody else did",
    load: () => import("./verbs/bench-read-modify-write.ts"),
  },
  {
    path: ["bench", "compare"],
    summary: "the same work on Flotilla and on etcd, in turns",
    load: () => import("./verbs/bench-compare.ts"),
  },
  {
    path: ["bench", "sustained"],
    summary: "does throughput hold for minutes",
    load: () => import("./verbs/bench-sustained.ts"),
  },
  {
    path: ["bench", "overload"],
    summary: "more than a slow disk can take, and how long it takes to recover",
    load: () => import("./verbs/bench-overload.ts"),
  },
  {
    path: ["bench", "idle"],
    summary: "what ranges cost while nothing happens, and how long they are without a leader",
    load: () => import("./verbs/bench-idle.ts"),
  },
  {
    path: ["bench", "report"],
    summary: "the last results as one page with plots",
    load: () => import("./verbs/bench-report.ts"),
  },
  {
    path: ["config", "show"],
    summary: "the settings a node would start with, and where each comes from",
    load: () => import("./verbs/config-show.ts"),
  },
  {
    path: ["debug", "bundle"],
    summary: "what the developers need to find out what is wrong, in one file",
    load: () => import("./verbs/debug-bundle.ts"),
  },
  versionVerb,
];
