/**
 * Unified diffs, applied without git, which a machine with only Node and npm does not have. Stricter than git in one point
 * and more lenient in another: a hunk's lines must be found exactly, and in one place only, but it does not matter where.
 */
export interface FilePatch {
  /** From the root, with /. */
  readonly file: string;
  readonly hunks: readonly Hunk[];
}

interface Hunk {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Does not apply any more: the sources have moved on. */
export class PatchFailed extends Error {}

export function parsePatch(name: string, text: string): FilePatch[] {
  const files: { file: string; hunks: { before: string[]; after: string[] }[] }[] = [];
  let hunk: { before: string[]; after: string[] } | undefined;
  for (const line of text.split("\n")) {
    const file = /^\+\+\+ b\/(.+)$/.exec(line)?.[1];
    if (file !== undefined) {
      files.push({ file, hunks: [] });
      hunk = undefined;
    } else if (/^(---|diff |index )/.test(line)) {
      hunk = undefined;
    } else if (line.startsWith("@@")) {
      hunk = { before: [], after: [] };
      const last = files.at(-1);
      if (last === undefined) throw new Error(`${name}: a hunk stands before any file`);
      last.hunks.push(hunk);
    } else if (hunk !== undefined && line !== "") {
      const rest = line.slice(1);
      if (line[0] !== "+") hunk.before.push(rest);
      if (line[0] !== "-") hunk.after.push(rest);
    }
  }
  if (files.length === 0 || files.some(({ hunks }) => hunks.length === 0)) throw new Error(`${name} changes nothing`);
  return files;
}

/** The content with the changes. */
export function applyPatch({ file, hunks }: FilePatch, content: string): string {
  let lines = content.split("\n");
  for (const { before, after } of hunks) {
    const found = [...lines.keys()].filter((at) => before.every((line, i) => lines[at + i] === line));
    if (found.length !== 1) {
      const times = found.length === 0 ? "not found" : `found ${found.length} times`;
      throw new PatchFailed(`${times} in ${file}:\n${before.map((line) => `  | ${line}`).join("\n")}`);
    }
    lines = [...lines.slice(0, found[0]), ...after, ...lines.slice(found[0]! + before.length)];
  }
  return lines.join("\n");
}
