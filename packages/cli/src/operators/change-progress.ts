/** The way to the end of a change: a bar on a terminal, a line for each change of state elsewhere, nothing beside JSON. */
import type { CommandIo } from "../command-io.ts";
import { ProgressBar } from "../output/progress-bar.ts";
import { formatBytes } from "../output/table.ts";
import type { OutputFormat } from "../output/output-format.ts";
import type { Sight } from "./goal.ts";
import { hasEnded } from "./operator-report.ts";
import { currentStep, operatorLine, stepsDone } from "./operator-text.ts";

/** Measured by what is left of the goal; where the order began operators, their steps say more. */
const isCountdown = ({ goal, operators }: Sight): boolean => goal !== undefined && operators.length === 0;

export class ChangeProgress {
  readonly #io: CommandIo;
  readonly #title: string;
  readonly #bar: ProgressBar | undefined;
  readonly #lines: boolean;
  readonly #said: Set<string> = new Set();
  /** What a goal began with; it may rise when more arrives meanwhile. */
  #most = 0;

  private constructor(io: CommandIo, title: string, bar: ProgressBar | undefined, lines: boolean) {
    this.#io = io;
    this.#title = title;
    this.#bar = bar;
    this.#lines = lines;
  }

  static async open(io: CommandIo, format: OutputFormat, title: string): Promise<ChangeProgress> {
    const bar = io.noteIsTerminal ? await ProgressBar.open("{bar} {percent}  {text}") : undefined;
    return new ChangeProgress(io, title, bar, bar === undefined && format === "table");
  }

  show(sight: Sight): void {
    const { done, total, text } = this.#measure(sight);
    this.#bar?.draw(done, total, { text });
    if (!this.#lines) return;
    for (const operator of sight.operators) this.#say(operatorLine(operator));
    if (isCountdown(sight) && total > done) this.#say(`${this.#title}: ${text}\n`);
  }

  close(): void {
    this.#bar?.close();
  }

  /** A goal is measured by what is left of it, operators by their steps. */
  #measure({ operators, goal }: Sight): { done: number; total: number; text: string } {
    if (goal !== undefined && operators.length === 0) {
      this.#most = Math.max(this.#most, goal.left);
      const size = goal.leftBytes === null ? "" : `, ${formatBytes(goal.leftBytes)}`;
      const text = `${goal.left} of ${this.#most} ${goal.unit} left${size}`;
      return { done: this.#most - goal.left, total: this.#most, text };
    }
    const total = operators.reduce((sum, { steps }) => sum + steps.length, 0);
    const done = operators.reduce((sum, operator) => sum + stepsDone(operator), 0);
    const open = operators.filter((operator) => !hasEnded(operator));
    const count = operators.length > 1 ? `${operators.length - open.length} of ${operators.length} operators, ` : "";
    const now = open[0] === undefined ? null : currentStep(open[0]);
    return { done, total, text: `${count}${done} of ${total} steps${now === null ? "" : `  ${now}`}` };
  }

  #say(line: string): void {
    if (this.#said.has(line)) return;
    this.#said.add(line);
    this.#io.note(line);
  }
}
