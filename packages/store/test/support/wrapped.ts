/** The same object with one of its methods replaced. */
export function wrapped<T extends object>(target: T, name: keyof T, replacement: unknown): T {
  return new Proxy(target, {
    get(_, property) {
      if (property === name) return replacement;
      const value = Reflect.get(target, property) as unknown;
      return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}
