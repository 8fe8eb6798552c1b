import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { changeRun } from "../raft-vectors/change-script.ts";
import { interactionRun } from "../raft-vectors/interaction-script.ts";
import { quorumRun } from "../raft-vectors/quorum-script.ts";
import { parseScript } from "../raft-vectors/script.ts";
import { runScript } from "../raft-vectors/script-run.ts";

const scripts = fileURLToPath(new URL("../../packages/raft/test/scripts/", import.meta.url));
const kinds = { quorum: quorumRun, confchange: changeRun, interaction: interactionRun };

describe("the scripts of the Raft core answer as they say", () => {
  for (const file of readdirSync(scripts).sort()) {
    test(file, () => {
      const kind = file.split(".").at(-2) as keyof typeof kinds;
      const outcome = runScript(readFileSync(scripts + file, "utf8"), kinds[kind]());
      expect(outcome.cases).toBeGreaterThan(0);
      expect(
        outcome.differences.map(({ case: one, actual }) => ({ line: one.line, expected: one.expected, actual })),
      ).toEqual([]);
    });
  }
});

describe("a script that expects something else is reported", () => {
  const differs = (kind: keyof typeof kinds, text: string): number[] =>
    runScript(text, kinds[kind]()).differences.map((difference) => difference.case.line);

  test("in a majority", () => {
    expect(
      differs("quorum", "committed cfg=(1,2,3) idx=(5,4,_)\n----\n5\n\nvote cfg=(1) votes=(y)\n----\nVoteWon\n"),
    ).toEqual([1]);
    expect(differs("quorum", "committed cfg=(1,2,3) idx=(5,4)\n----\n4\n")).toEqual([1]);
  });

  test("in a change of configuration", () => {
    expect(
      differs(
        "confchange",
        "simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\nsimple\nv2\n----\nvoters=(1)\n",
      ),
    ).toEqual([7]);
    expect(differs("confchange", "simple\nl1\n----\nmore than one voter changed\n")).toEqual([1]);
  });

  const group = "add-nodes 3 voters=(1,2,3) index=2\n----\nok\n\ncampaign 1\n----\nok\n\n";
  const request =
    "process-ready 1\n----\nReady MustSync=true:\nLead:0 State:StateCandidate\nHardState Term:1 Vote:1 Commit:2\nMessages:\n";
  const to2 = "1->2 MsgVote Term:1 Log:1/2\n";
  const to3 = "1->3 MsgVote Term:1 Log:1/2\n";

  test("also where a block has several commands", () => {
    const block = "add-nodes 3 voters=(1,2,3) index=2\ncampaign 1\n";
    expect(differs("interaction", `${block}${request}${to2}${to3}`)).toEqual([]);
    expect(differs("interaction", `${block}${request}${to2}`)).toEqual([1]);
    expect(differs("interaction", `${block}fly 1\n----\nok\n`)).toEqual([1]);
  });

  test("in one of several entries of a message, written in one line or in one line each", () => {
    const one = 'Entries:[1/3 EntryNormal "", 1/4 EntryNormal "a"]';
    const each = 'Entries:[\n  1/3 EntryNormal ""\n  1/4 EntryNormal "a"\n]';
    const { normalize } = interactionRun();
    const normal = (entries: string): string[] => normalize(`1->2 MsgApp Term:1 Log:1/2 ${entries}`.split("\n"));
    expect(normal(one)).toEqual(normal(each));
    expect(normal(one)).not.toEqual(normal(each.replace("1/4", "1/5")));
  });

  test("in a message, a missing one, a state, and an unknown verb", () => {
    expect(differs("interaction", group + request + to2 + to3)).toEqual([]);
    expect(differs("interaction", group + request + to2 + to3.replace("1/2", "1/3"))).toEqual([9]);
    expect(differs("interaction", group + request + to2)).toEqual([9]);
    expect(differs("interaction", group + request.replace("Vote:1", "Vote:2") + to2 + to3)).toEqual([9]);
    expect(differs("interaction", `${group}fly 1\n----\nok\n`)).toEqual([9]);
    expect(differs("interaction", `${group}status 9\n----\nok\n`)).toEqual([9]);
  });

  test("but log lines, and what a replica tells itself, have no meaning", () => {
    expect(
      differs("interaction", `${group}${request}${to2}${to3}INFO 1 received MsgVoteResp from 1 at term 1\n`),
    ).toEqual([]);
    expect(differs("interaction", group + request + to2 + to3 + "1->1 MsgVoteResp Term:1 Log:0/0\n")).toEqual([]);
  });
});

describe("script files", () => {
  test("have comments, lists with blanks, input, and answers with empty lines between doubled separators", () => {
    const [one, two] = parseScript(
      "# no\nverb 7 a=(1, 2) b=x\n# nor this\nin put\n----\n----\n\nout\n----\n----\n\nlast\n----\n",
    );
    expect(one).toMatchObject({ line: 2, verb: "verb", input: ["in put"], expected: ["", "out"] });
    expect(one!.arguments).toEqual([
      { key: "7", bare: true, values: [] },
      { key: "a", bare: false, values: ["1", "2"] },
      { key: "b", bare: false, values: ["x"] },
    ]);
    expect(two).toMatchObject({ line: 12, verb: "last", expected: [] });
  });

  test("that are broken are refused with the line", () => {
    expect(() => parseScript("verb (1\n----\n")).toThrow("line 1");
    expect(() => parseScript("\nverb\n")).toThrow("line 2");
  });

  test("can be rewritten with the actual answers, which then hold", () => {
    const text = "# kept\nvote cfg=(1) votes=(y)\n----\n\n# kept, too\nvote cfg=(1) votes=(_)\n----\nwrong\n";
    const { rewritten } = runScript(text, quorumRun());
    expect(rewritten).toBe(
      "# kept\nvote cfg=(1) votes=(y)\n----\nVoteWon\n\n# kept, too\nvote cfg=(1) votes=(_)\n----\nVotePending\n",
    );
    expect(runScript(rewritten, quorumRun()).differences).toEqual([]);
  });
});
