/** What is published: two packages, made of files of many. */

export interface PublishedPackage {
  /** Below `packages/`; its package.json says name, version, exports, bin and engines. */
  readonly folder: string;
  readonly description: string;
  readonly keywords: readonly string[];
  /** From the root; goes in as README.md. */
  readonly readme: string;
  /** Entries that are published, of those that the workspace exports; the others are doors for siblings. */
  readonly exports: readonly string[];
  /** Packages of the workspace whose files may be in it. Everything else is found to be a mistake, and said. */
  readonly mayContain: readonly string[];
  /** And those of which it may have types, and no code. */
  readonly mayDeclare: readonly string[];
}

const keywords: readonly string[] = ["key-value", "store", "raft", "replicated", "sharded", "ordered", "embedded"];

export const publishedPackages: readonly PublishedPackage[] = [
  {
    folder: "client",
    description: "Client of Flotilla, a sharded, replicated, ordered key-value store",
    keywords: [...keywords, "client"],
    readme: "packages/client/README.md",
    exports: ["."],
    mayContain: ["base", "client", "platform", "transport"],
    mayDeclare: ["raft"],
  },
  {
    folder: "cli",
    description: "Flotilla, a sharded, replicated, ordered key-value store: command, server, embedded clusters, client",
    keywords: [...keywords, "database", "server", "testing"],
    readme: "packages/cli/README.md",
    exports: [".", "./cluster"],
    mayContain: [
      "base",
      "cli",
      "client",
      "placement",
      "platform",
      "raft",
      "raft-log",
      "server",
      "simulator",
      "storage",
      "store",
      "transport",
    ],
    mayDeclare: [],
  },
];

/**
 * Libraries of which a published package carries a copy instead of depending on them, with the files that are their
 * entries. msgpackr: as a dependency it would bring an optional native addon, which speeds up nothing that is done here.
 */
export const vendored: Readonly<Record<string, { readonly entry: string; readonly types: string }>> = {
  msgpackr: { entry: "index.js", types: "index.d.ts" },
};
