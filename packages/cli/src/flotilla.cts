#!/usr/bin/env node
/**
 * The launcher. CommonJS, because both of what it does must come before the first module of the command is loaded: the
 * size of libuv's pool (the loader of ES modules uses the pool already), and the cache of compiled code.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "8";
const { enableCompileCache } = require("node:module") as { enableCompileCache?: () => unknown };
enableCompileCache?.();

/** First words of the verbs that are in the bundle; a test compares them with the table. */
const quickWords = [
  "put",
  "get",
  "delete",
  "scan",
  "cluster",
  "node",
  "store",
  "range",
  "operator",
  "scheduler",
  "top",
  "unsafe-recover",
  "version",
];

if (quickWords.includes(process.argv[2] ?? "")) require("./quick-main.cjs");
else void import("./main.js");
