/**
 * Holds the documents to what is there. In `docs/failure-modes.md` a row of the table is
 *
 *     | id | claim | evidence |
 *
 * where the evidence is a test's path in backticks, or several, or a sentence that begins with "Impossible:". Each
 * path must be a file with a test whose title holds the id as a word. Links between documents must lead to a file.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

export interface Objection {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

const failureModes = "docs/failure-modes.md";
const row = /^\| *([A-Z]\d+) *\|(.*)\|(.*)\| *$/;

export function checkDocs(root: string): Objection[] {
  const objections: Objection[] = [];
  for (const path of documents(root)) {
    const lines = readFileSync(join(root, path), "utf8").split("\n");
    lines.forEach((text, index) => {
      const add = (message: string): void => {
        objections.push({ path, line: index + 1, message });
      };
      checkLinks(root, path, text, add);
      if (path === failureModes) checkRow(root, text, add);
    });
  }
  if (!existsSync(join(root, failureModes))) objections.push({ path: failureModes, line: 1, message: "is missing" });
  objections.push(...repeatedIds(root));
  return objections;
}

function documents(root: string): string[] {
  const inRoot = readdirSync(root).filter((name) => name.endsWith(".md"));
  if (!existsSync(join(root, "docs"))) return inRoot;
  const below = readdirSync(join(root, "docs"), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .replaceAll("\\", "/"),
    );
  return [...inRoot, ...below].sort();
}

function checkLinks(root: string, path: string, text: string, add: (message: string) => void): void {
  for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^(?:[a-z]+:|#)/.test(target)) continue;
    const file = join(root, dirname(path), target.replace(/#.*$/, ""));
    if (!existsSync(file)) add(`the link to ${target} leads nowhere`);
  }
}

function checkRow(root: string, text: string, add: (message: string) => void): void {
  const [, id = "", claim = "", evidence = ""] = row.exec(text) ?? [];
  if (id === "") {
    if (/^\| *[A-Z]\d+/.test(text)) add("this row does not have the form | id | claim | evidence |");
    return;
  }
  if (claim.trim() === "") add(`${id} claims nothing`);
  const paths = [...evidence.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
  if (paths.length === 0 && !/^ *Impossible: \S/.test(evidence)) {
    add(`${id} names neither a test's path in backticks nor "Impossible: " and why`);
  }
  for (const path of paths) {
    if (!existsSync(join(root, path))) add(`${id} names ${path}, which does not exist`);
    else if (!hasTest(readFileSync(join(root, path), "utf8"), path, id)) add(`${path} has no test named ${id}`);
  }
}

/** In TypeScript the id stands in a test's title; a script of commands and output holds it anywhere. */
function hasTest(source: string, path: string, id: string): boolean {
  if (!path.endsWith(".ts")) return new RegExp(`\\b${id}\\b`).test(source);
  const title = new RegExp(`\\b(?:test|it|describe)\\b[^"'\`\\n]*\\(\\s*["'\`][^"'\`\\n]*\\b${id}\\b`);
  return title.test(source);
}

function repeatedIds(root: string): Objection[] {
  const path = join(root, failureModes);
  if (!existsSync(path)) return [];
  const seen = new Set<string>();
  const objections: Objection[] = [];
  readFileSync(path, "utf8")
    .split("\n")
    .forEach((text, index) => {
      const id = row.exec(text)?.[1];
      if (id === undefined) return;
      if (seen.has(id)) objections.push({ path: failureModes, line: index + 1, message: `${id} stands here twice` });
      seen.add(id);
    });
  return objections;
}
