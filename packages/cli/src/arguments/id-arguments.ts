/** Ids of ranges, stores, nodes and operators, as the user types them. */
import { Failure } from "@flotilla/base";
import type { Invocation } from "../command-io.ts";
import { countOption } from "./common-options.ts";

/** The positional argument at `index`; `undefined` when it was left out. `name` stands in the error. */
export function idArgument({ arguments: given }: Invocation, index: number, name: string): number | undefined {
  return countOption({ id: given[index] }, "id", name, 1, Number.MAX_SAFE_INTEGER);
}

export function requiredId(invocation: Invocation, index: number, name: string): number {
  const id = idArgument(invocation, index, name);
  if (id === undefined) throw new Failure("InvalidArgument", `${name} is missing`);
  return id;
}

/** `--to 3` with the name `to`. The parser has required it. */
export function requiredIdOption({ options }: Invocation, name: string): number {
  const id = countOption(options, name, `--${name}`, 1, Number.MAX_SAFE_INTEGER);
  if (id === undefined) throw new Failure("InvalidArgument", `--${name} is missing`);
  return id;
}
