import type { Verb } from "../command-io.ts";
import { addOutputOption } from "../arguments/common-options.ts";
import { writeObject } from "../output/documents.ts";
import { exitDone } from "../exit-code.ts";
import { cliVersion } from "../cli-version.ts";

export const verb: Verb = {
  configure(command) {
    addOutputOption(command);
  },
  async run({ io, format }) {
    const content = {
      version: cliVersion,
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    };
    await writeObject(
      io,
      format,
      content,
      () => `flotilla ${content.version}, node ${content.node}, ${content.platform}\n`,
    );
    return exitDone;
  },
};
