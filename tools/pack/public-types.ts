/**
 * Declarations as users see them. A program may use both published packages, each with a copy of the client: types with
 * private members are never the same as those of another copy, so these members go; what only siblings use goes as well.
 */
export function publicTypes(declarations: string): string {
  const text = declarations
    .replace(/^ *#private;\n/gm, "")
    .replace(/^ *(?:protected|private) [^;{]*;\n/gm, "")
    .replace(/^ *\/\*\* @internal [^]*?\*\/\n[^\n]*;\n/gm, "");
  const left = /^.*(?:#private|\bprotected\b |@internal).*$/m.exec(text)?.[0];
  if (left !== undefined) throw new Error(`a declaration that is not for users is left: ${left.trim()}`);
  // Node's own types declare it; who compiles without them finds it in the language's library.
  return /Symbol\.(?:asyncD|d)ispose/.test(text) ? `/// <reference lib="esnext.disposable" />\n${text}` : text;
}
