#!/usr/bin/env node
/**
 * The launcher. CommonJS, because both of what it does must come before the first module of the command is loaded: the
 * size of libuv's pool (the loader of ES modules uses the pool already), and the cache of compiled code.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "8";
const { enableCompileCache } = require("node:module") as { enableCompileCache?: () => unknown };
enableCompileCache?.();
void import("./main.js");
