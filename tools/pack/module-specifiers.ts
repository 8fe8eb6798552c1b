/** Where a built file names other files: imports, re-exports, dynamic imports, and `new URL(…, import.meta.url)`. */
import { parseSync } from "oxc-parser";

export interface ModuleSpecifier {
  readonly text: string;
  /** Of the text between the quotes. */
  readonly start: number;
  readonly end: number;
  /** An import finds packages by name; a URL is relative in any case. */
  readonly kind: "import" | "url";
}

/** In the order of the file. `path` decides how it is parsed. */
export function moduleSpecifiers(path: string, source: string): ModuleSpecifier[] {
  if (path.endsWith(".cjs")) return inCommonJs(path, source);
  const { module, errors } = parseSync(path, source);
  const first = errors[0];
  if (first !== undefined) throw new Error(`${path}: ${first.message}`);
  const found: ModuleSpecifier[] = [];
  const add = (start: number, end: number, kind: "import" | "url"): void => {
    found.push({ text: source.slice(start, end), start, end, kind });
  };
  for (const { moduleRequest } of module.staticImports) add(moduleRequest.start + 1, moduleRequest.end - 1, "import");
  for (const { entries } of module.staticExports) {
    // All entries of a statement share one request.
    const request = entries.find((entry) => entry.moduleRequest)?.moduleRequest;
    if (request) add(request.start + 1, request.end - 1, "import");
  }
  for (const { moduleRequest } of module.dynamicImports) {
    // What is computed cannot be followed; it is a path that a user gave, or a mistake that the tests find.
    if (/^["']/.test(source.slice(moduleRequest.start))) add(moduleRequest.start + 1, moduleRequest.end - 1, "import");
  }
  for (const match of source.matchAll(/new URL\("(\.[^"]*\.c?js)", import\.meta\.url\)/g)) {
    const start = match.index + 'new URL("'.length;
    add(start, start + match[1]!.length, "url");
  }
  if (path.endsWith(".d.ts")) {
    // Types that are imported in passing.
    for (const match of source.matchAll(/\bimport\("([^"]+)"\)/g)) {
      const start = match.index + 'import("'.length;
      add(start, start + match[1]!.length, "import");
    }
  }
  return found.sort((a, b) => a.start - b.start);
}

/** The launcher and the bundles: they load modules, parts of Node, and name files that threads begin with. */
function inCommonJs(path: string, source: string): ModuleSpecifier[] {
  const found: ModuleSpecifier[] = [];
  for (const match of source.matchAll(/\b(?:require|import)\("([^"]+)"\)/g)) {
    const start = match.index + match[0].indexOf('"') + 1;
    found.push({ text: match[1]!, start, end: start + match[1]!.length, kind: "import" });
  }
  if (found.length === 0) throw new Error(`${path}: imports nothing`);
  // What a bundle has in the place of `import.meta.url`.
  for (const match of source.matchAll(/new URL\("(\.[^"]*\.c?js)", require\("url"\)\.pathToFileURL\(__filename\)/g)) {
    const start = match.index + 'new URL("'.length;
    found.push({ text: match[1]!, start, end: start + match[1]!.length, kind: "url" });
  }
  return found.sort((a, b) => a.start - b.start);
}

/** The source with each specifier replaced by what `replace` says. */
export function rewriteSpecifiers(
  path: string,
  source: string,
  replace: (specifier: ModuleSpecifier) => string,
): string {
  let text = "";
  let at = 0;
  for (const specifier of moduleSpecifiers(path, source)) {
    text += source.slice(at, specifier.start) + replace(specifier);
    at = specifier.end;
  }
  return text + source.slice(at);
}
