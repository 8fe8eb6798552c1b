/** Loaded first in a process, and in each of its threads: the modules named in the environment are read from elsewhere. */
import { register } from "node:module";

const modules: unknown = JSON.parse(process.env["FLOTILLA_REPLACED_MODULES"] ?? "{}");
register("./replace-modules-hook.js", import.meta.url, { data: modules });
