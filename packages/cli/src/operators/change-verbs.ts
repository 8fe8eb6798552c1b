/** Verbs that differ in words only. */
import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "./change.ts";
import type { Goal } from "./goal.ts";

interface Emptying {
  /** `node` or `store`: the argument, and the field that takes its id. */
  readonly what: "node" | "store";
  readonly argumentText: string;
  readonly request: string;
  /** In the title, before `node 3`. */
  readonly word: string;
  readonly help: string;
  readonly goal: (id: number) => Goal;
}

/** Takes something out for good: asked about first, and over when no range counts on it any more. */
export function emptyingVerb({ what, argumentText, request, word, help, goal }: Emptying): Verb {
  return {
    configure(command) {
      command.argument(`<${what}>`, argumentText);
      addChangeOptions(command, { dangerous: true }).addHelpText("after", help);
    },
    async run(invocation) {
      const id = requiredId(invocation, 0, what.toUpperCase());
      const title = `${word} ${what} ${id}`;
      return runChange(invocation, { request, body: { [`${what}Id`]: id }, title, dangerous: true, goal: goal(id) });
    },
  };
}

export function schedulerVerb(word: "pause" | "resume", help: string): Verb {
  return {
    configure(command) {
      command.argument("<name>", "repair, balance-replicas, balance-leaders, balance-load, split or merge");
      addChangeOptions(command).addHelpText("after", help);
    },
    async run(invocation) {
      const name = String(invocation.arguments[0]);
      return runChange(invocation, { request: `scheduler-${word}`, body: { name }, title: `${word} ${name}` });
    },
  };
}
