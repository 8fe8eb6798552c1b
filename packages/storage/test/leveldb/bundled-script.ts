import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "vite";

/**
 * Another process or thread runs plain Node, which does not read our sources: bundles a script beside this file, with the
 * sources it imports, into `outDir`, and returns the path of the result.
 */
export async function bundledScript(name: string, outDir: string): Promise<string> {
  const require = createRequire(import.meta.url);
  const classicLevel = pathToFileURL(require.resolve("classic-level")).href;
  const conditions = ["flotilla-source", "node"];
  await build({
    configFile: false,
    logLevel: "error",
    ssr: { noExternal: true, resolve: { conditions } },
    build: {
      ssr: fileURLToPath(new URL(`${name}.ts`, import.meta.url)),
      outDir,
      emptyOutDir: false,
      rolldownOptions: {
        external: ["classic-level"],
        output: { entryFileNames: `${name}.mjs`, paths: { "classic-level": classicLevel } },
      },
    },
  });
  return join(outDir, `${name}.mjs`);
}
