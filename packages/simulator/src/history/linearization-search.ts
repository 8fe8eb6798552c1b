/**
 * Looks for one order of a key's operations that explains all their answers (Wing and Gong 1993; memoised as by Lowe,
 * "Testing for linearizability", 2017). A configuration is which completed operations have taken their place, the state
 * behind them, and which of those without an answer were used. Four things keep the search small; each is exact:
 *
 *  - An observation that is possible in the present state, without telling more about it, takes its place at once: in
 *    any order that works it can move to here.
 *  - An operation without an answer is used only right before one that is not possible without it. (If the next one is
 *    possible anyway, it either overwrites what was used, which then need not have happened, or it leaves the state
 *    alone, and what was used can move behind it.)
 *  - Of those without an answer that have the same effect, the earlier one is used first: it can stand in for the later.
 *  - A configuration that was explored without success ends all others with the same completed operations and state that
 *    have used the same ones without an answer, or more.
 */
import type { Model, Operation } from "./model.ts";

export type SearchResult =
  | { readonly verdict: "pass"; readonly steps: number }
  | { readonly verdict: "undecided"; readonly steps: number }
  /** In no order do all operations that returned up to `failedAt` have their place. */
  | { readonly verdict: "fail"; readonly steps: number; readonly failedAt: number };

/** Without an answer and with the same effect, by time of invocation. */
interface Group<Op> {
  readonly operation: Op;
  readonly invokes: readonly number[];
}

interface Move {
  readonly operation: number;
  readonly state: number;
  /** Groups of which one operation each takes effect right before, in this order. */
  readonly before: readonly number[];
}

interface Frame {
  readonly moves: readonly Move[];
  next: number;
  /** What was true when the frame's configuration was entered. */
  readonly state: number;
  /** Observations that took their place on entering. */
  readonly observed: readonly number[];
}

export class LinearizationSearch<Op extends Operation> {
  readonly #model: Model<Op>;
  /** Completed, by time of invocation. */
  readonly #completed: readonly Op[];
  readonly #groups: readonly Group<Op>[];
  readonly #budget: number;

  // The present configuration.
  readonly #placed: Uint32Array;
  #placedCount = 0;
  /** All before have their place; this one has not. */
  #low = 0;
  #state: number;
  readonly #used: Uint16Array;

  /** By completed operations and state: the used ones of configurations that were explored, none above another. */
  readonly #explored = new Map<string, Uint16Array[]>();
  /** Configurations and uses of operations without an answer that were looked at. */
  #steps = 0;
  /** The furthest that any configuration came. */
  #failedAt = -Infinity;

  /** `budget`: steps before the verdict is `undecided`. Operations that failed are not to be here. */
  constructor(model: Model<Op>, operations: readonly Op[], budget: number, state: number = model.initial) {
    this.#model = model;
    this.#budget = budget;
    this.#completed = operations
      .filter((operation) => operation.return !== Infinity)
      .sort((a, b) => a.invoke - b.invoke || a.return - b.return);
    const groups = new Map<string, { operation: Op; invokes: number[] }>();
    for (const operation of operations) {
      if (operation.return !== Infinity || model.isObservation(operation)) continue;
      const signature = model.signature(operation);
      const group = groups.get(signature);
      if (group === undefined) groups.set(signature, { operation, invokes: [operation.invoke] });
      else group.invokes.push(operation.invoke);
    }
    this.#groups = [...groups.values()];
    for (const group of groups.values()) group.invokes.sort((a, b) => a - b);
    this.#placed = new Uint32Array(Math.ceil(this.#completed.length / 32) + 1);
    this.#used = new Uint16Array(this.#groups.length);
    this.#state = state;
  }

  run(): SearchResult {
    const stack: Frame[] = [];
    for (;;) {
      const frame = this.#enter();
      if (this.#placedCount === this.#completed.length) return { verdict: "pass", steps: this.#steps };
      if (this.#steps > this.#budget) return { verdict: "undecided", steps: this.#steps };
      stack.push(frame);
      // Back to the last configuration that has a move left, then make it.
      for (;;) {
        const top = stack.at(-1);
        if (top === undefined) {
          return { verdict: "fail", steps: this.#steps, failedAt: this.#failedAt };
        }
        const move = top.moves[top.next];
        if (move !== undefined) {
          top.next++;
          this.#state = move.state;
          for (const group of move.before) this.#used[group]!++;
          this.#place(move.operation);
          break;
        }
        stack.pop();
        this.#leave(top, stack.at(-1));
      }
    }
  }

  #leave(frame: Frame, parent: Frame | undefined): void {
    for (const operation of frame.observed) this.#unplace(operation);
    const made = parent?.moves[parent.next - 1];
    if (parent === undefined || made === undefined) return;
    this.#unplace(made.operation);
    for (const group of made.before) this.#used[group]!--;
    this.#state = parent.state;
  }

  #place(operation: number): void {
    this.#placed[operation >> 5]! |= 1 << (operation & 31);
    this.#placedCount++;
    while (this.#isPlaced(this.#low) && this.#low < this.#completed.length) this.#low++;
  }

  #unplace(operation: number): void {
    this.#placed[operation >> 5]! &= ~(1 << (operation & 31));
    this.#placedCount--;
    if (operation < this.#low) this.#low = operation;
  }

  #isPlaced(operation: number): boolean {
    return (this.#placed[operation >> 5]! & (1 << (operation & 31))) !== 0;
  }

  /** The present configuration: observations take their place, then the moves from here; none if it was explored. */
  #enter(): Frame {
    const observed: number[] = [];
    const candidates: number[] = [];
    let horizon = this.#candidates(candidates);
    for (let i = 0; i < candidates.length; i++) {
      const operation = this.#completed[candidates[i]!]!;
      if (!this.#model.isObservation(operation) || this.#model.step(this.#state, operation) !== this.#state) continue;
      observed.push(candidates[i]!);
      this.#place(candidates[i]!);
      // The horizon may have moved: look again from the start.
      horizon = this.#candidates(candidates);
      i = -1;
    }
    if (horizon > this.#failedAt) this.#failedAt = horizon;
    const moves = candidates.length === 0 || this.#isExplored() ? [] : this.#moves(candidates, horizon);
    return { moves, next: 0, state: this.#state, observed };
  }

  /** Those that may come next: invoked before any that has no place yet returned. Returns that earliest return. */
  #candidates(into: number[]): number {
    into.length = 0;
    let horizon = Infinity;
    for (let i = this.#low; i < this.#completed.length; i++) {
      const operation = this.#completed[i]!;
      if (operation.invoke > horizon) break;
      if (this.#isPlaced(i)) continue;
      into.push(i);
      if (operation.return < horizon) horizon = operation.return;
    }
    return horizon;
  }

  #isExplored(): boolean {
    this.#steps++;
    const name = this.#configurationName();
    const known = this.#explored.get(name);
    const used = this.#used;
    if (known === undefined) {
      this.#explored.set(name, [used.slice()]);
      return false;
    }
    for (const other of known) if (isSubset(other, used)) return true;
    known.push(used.slice());
    return false;
  }

  #configurationName(): string {
    let highest = this.#placed.length - 1;
    const lowest = this.#low >> 5;
    while (highest > lowest && this.#placed[highest] === 0) highest--;
    let name = `${this.#state} ${this.#low}`;
    for (let i = lowest; i <= highest; i++) name += ` ${this.#placed[i]!.toString(36)}`;
    return name;
  }

  /** First those that need nothing, the one that returned first in front; then with ever more of those without answer. */
  #moves(candidates: readonly number[], horizon: number): Move[] {
    const plain: Move[] = [];
    const costly: Move[] = [];
    for (const candidate of candidates) {
      const operation = this.#completed[candidate]!;
      const state = this.#model.step(this.#state, operation);
      if (state >= 0) plain.push({ operation: candidate, state, before: [] });
      else if (this.#groups.length > 0) this.#chains(candidate, operation, horizon, [this.#state], [], costly);
    }
    const byReturn = (a: Move, b: Move): number =>
      this.#completed[a.operation]!.return - this.#completed[b.operation]!.return;
    plain.sort(byReturn);
    costly.sort((a, b) => a.before.length - b.before.length || byReturn(a, b));
    return costly.length === 0 ? plain : plain.concat(costly);
  }

  /**
   * All shortest ways from the present state, through operations without an answer, to one in which the operation is
   * possible. One that is possible earlier on the way makes what lies between needless.
   */
  #chains(candidate: number, operation: Op, horizon: number, path: number[], before: number[], into: Move[]): void {
    const state = path.at(-1)!;
    for (let g = 0; g < this.#groups.length; g++) {
      const group = this.#groups[g]!;
      const invoke = group.invokes[this.#used[g]!];
      if (invoke === undefined || invoke > horizon) continue;
      const next = this.#model.apply(state, group.operation);
      if (next < 0 || path.includes(next)) continue;
      if (path.slice(0, -1).some((earlier) => this.#model.apply(earlier, group.operation) >= 0)) continue;
      this.#steps++;
      before.push(g);
      const reached = this.#model.step(next, operation);
      if (reached >= 0) into.push({ operation: candidate, state: reached, before: before.slice() });
      else if (this.#steps <= this.#budget) {
        this.#used[g]!++;
        path.push(next);
        this.#chains(candidate, operation, horizon, path, before, into);
        path.pop();
        this.#used[g]!--;
      }
      before.pop();
    }
  }
}

function isSubset(a: Uint16Array, b: Uint16Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i]! > b[i]!) return false;
  return true;
}
