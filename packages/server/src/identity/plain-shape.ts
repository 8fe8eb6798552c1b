/**
 * Checks of data that comes from a file or from another node: each returns what is wrong and where, or `undefined`. A
 * store's thread runs them, and loads nothing else for them: the schema library of the settings would delay its start.
 */
export type Shape = (value: unknown, path: string) => string | undefined;

export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): Shape {
  const bounds = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  return (value, path) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `${path} must be a whole number ${bounds}, got ${shown(value)}`;
}

export function text(pattern: RegExp): Shape {
  return (value, path) =>
    typeof value === "string" && pattern.test(value)
      ? undefined
      : `${path} must match ${pattern.source}, got ${shown(value)}`;
}

export const flag: Shape = (value, path) =>
  typeof value === "boolean" ? undefined : `${path} must be true or false, got ${shown(value)}`;

export function nullable(shape: Shape): Shape {
  return (value, path) => (value === null ? undefined : shape(value, path));
}

export function optional(shape: Shape): Shape {
  return (value, path) => (value === undefined ? undefined : shape(value, path));
}

/** Exactly these fields; with `others` also more. */
export function fields(
  shapes: Readonly<Record<string, Shape>>,
  { others }: { readonly others: boolean } = { others: false },
): Shape {
  const known = Object.keys(shapes);
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return `${path} must be an object, got ${shown(value)}`;
    }
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(shapes, name));
    if (unknown !== undefined && !others) return `${path} has an unknown field ${shown(unknown)}`;
    for (const name of known) {
      const wrong = shapes[name]!((value as Record<string, unknown>)[name], path === "" ? name : `${path}.${name}`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** With at least `min` items and at most `max`. */
export function list(item: Shape, max: number, min = 1): Shape {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path} must be a list, got ${shown(value)}`;
    if (value.length < min || value.length > max) {
      return `${path} must have ${min} to ${max} items, got ${value.length}`;
    }
    for (let index = 0; index < value.length; index++) {
      const wrong = item(value[index], `${path}.${index}`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

export const anything: Shape = () => undefined;

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 100 ? `${json.slice(0, 100)}…` : json;
}
