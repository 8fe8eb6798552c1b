/**
 * The one entry behind every script in package.json: installs and builds what is missing or out of date, then does what
 * the script is for. It needs nothing but Node and npm. This file alone must parse on any Node with ES modules, so that
 * one that is too old is told so; everything else is loaded after the check.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Flotilla needs Node 20.19 or newer; this is ${process.version} (${process.execPath}).`);
  process.exitCode = 2;
} else {
  void import("./bootstrap/main.mjs").then((module) => module.main(process.argv.slice(2)));
}
