/** What a source file imports, as written: static, re-exporting, dynamic with a literal, and types alike. */
import { parseSync } from "oxc-parser";

export interface SourceImport {
  readonly specifier: string;
  /** From 1. */
  readonly line: number;
}

export function sourceImports(path: string, source: string): SourceImport[] {
  const { module, errors } = parseSync(path, source);
  const first = errors[0];
  if (first !== undefined) throw new Error(`${path}: ${first.message}`);
  const found: SourceImport[] = [];
  const add = (specifier: string, offset: number): void => {
    found.push({ specifier, line: lineAt(source, offset) });
  };
  for (const statement of module.staticImports) add(statement.moduleRequest.value, statement.start);
  for (const statement of module.staticExports) {
    const request = statement.entries.find((entry) => entry.moduleRequest)?.moduleRequest;
    if (request) add(request.value, statement.start);
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const literal = /^["'`](.*)["'`]$/s.exec(source.slice(moduleRequest.start, moduleRequest.end))?.[1];
    if (literal !== undefined) add(literal, moduleRequest.start);
  }
  return found;
}

function lineAt(source: string, offset: number): number {
  let line = 1;
  for (let i = source.indexOf("\n"); i !== -1 && i < offset; i = source.indexOf("\n", i + 1)) line++;
  return line;
}
