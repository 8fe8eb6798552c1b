/**
 * Checks of data that comes from a file: each returns what is wrong and where, or `undefined`. A store's thread runs
 * them, and loads nothing else for them: the schema library of the settings would cost it a fifth of its start.
 */
export type Shape = (value: unknown, path: string) => string | undefined;

export function wholeNumber(min: number): Shape {
  return (value, path) =>
    Number.isSafeInteger(value) && (value as number) >= min
      ? undefined
      : `${path} must be a whole number from ${min}, got ${shown(value)}`;
}

export function text(pattern: RegExp): Shape {
  return (value, path) =>
    typeof value === "string" && pattern.test(value)
      ? undefined
      : `${path} must match ${pattern.source}, got ${shown(value)}`;
}

/** Exactly these fields. */
export function fields(shapes: Readonly<Record<string, Shape>>): Shape {
  const known = Object.keys(shapes);
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return `${path} must be an object, got ${shown(value)}`;
    }
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(shapes, name));
    if (unknown !== undefined) return `${path} has an unknown field ${shown(unknown)}`;
    for (const name of known) {
      const wrong = shapes[name]!((value as Record<string, unknown>)[name], path === "" ? name : `${path}.${name}`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** With at least one item and at most `max`. */
export function list(item: Shape, max: number): Shape {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path} must be a list, got ${shown(value)}`;
    if (value.length < 1 || value.length > max) return `${path} must have 1 to ${max} items, got ${value.length}`;
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
