/** `npm run pack [-- DIR]`: the published packages as tarballs in DIR (default `dist-packages`), from what is built. */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { publishedPackages } from "./published-packages.ts";
import { Workspace, root } from "./workspace.ts";
import { writeTarball } from "./write-package.ts";

const [given, ...rest] = process.argv.slice(2);
if (rest.length > 0) throw new Error("usage: npm run pack [-- DIR]");
const destination = given === undefined ? join(root, "dist-packages") : resolve(given);
// Another directory may hold what is not ours.
if (given === undefined) rmSync(destination, { recursive: true, force: true });
const workspace = new Workspace();
for (const published of publishedPackages) {
  const { name, path, files, dependencies } = writeTarball(published, workspace, destination);
  console.log(`${name}  ${path}  ${files} files, ${dependencies} dependencies`);
}
