/** The hook behind replace-modules.ts. Relative imports of a replaced module resolve as if it stood in its old place. */
import { readFile } from "node:fs/promises";
import type { InitializeHook, LoadHook } from "node:module";

let replaced: Readonly<Record<string, string>> = {};

export const initialize: InitializeHook<Readonly<Record<string, string>>> = (modules) => {
  replaced = modules;
};

export const load: LoadHook = async (url, context, nextLoad) => {
  const file = replaced[url];
  if (file === undefined) return nextLoad(url, context);
  return { format: "module", source: await readFile(file), shortCircuit: true };
};
