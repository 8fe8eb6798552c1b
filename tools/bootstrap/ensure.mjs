/** Installs and builds only what is missing or out of date. */
import { build, buildHash, isBuilt } from "./build.mjs";
import { install, installHash, isInstalled } from "./install.mjs";
import { withLock } from "./lock.mjs";

/** @returns {Promise<string>} the hash of what is installed */
export async function ensureInstalled() {
  const hash = installHash();
  if (isInstalled(hash)) return hash;
  return withLock(async () => {
    if (!isInstalled(hash)) await install(hash);
    return hash;
  });
}

export async function ensureBuilt() {
  const hash = buildHash(await ensureInstalled());
  if (isBuilt(hash)) return;
  await withLock(async () => {
    if (!isBuilt(hash)) await build(hash);
  });
}
