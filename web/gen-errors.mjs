// Writes src/errors.gen.ts (classes) and src/codes.gen.ts (their codes) from the engine's list of errors, or with --check says
// whether they are current.
import { readFileSync, writeFileSync } from "node:fs";

const list = readFileSync(new URL("../src/base/errors.def", import.meta.url), "utf8");
const rows = [...list.matchAll(/^WF_ERROR\((\w+),\s*(\w+),\s*"([^"]*)"\)/gm)].map(
  ([, code, name, meaning]) => ({ code, name, meaning }),
);
// An aborted call is a DOMException named AbortError, as everywhere on the web.
const own = rows.filter((row) => row.code !== "ABORTED");
const note = "Written by gen-errors.mjs from src/base/errors.def; don't edit.";

const classes = `/* ${note} */
import { WfError } from "./error.ts";

${own
  .map(
    ({ name, meaning }) =>
      `/** ${meaning[0].toUpperCase()}${meaning.slice(1)}. */\nexport class ${name} extends WfError {\n  override name = "${name}";\n}\n`,
  )
  .join("\n")}`;

const codes = `/* ${note} The order of names is that of the engine's codes, from 1. */
import { WfError } from "./error.ts";
import * as errors from "./errors.gen.ts";

export const errorNames = [\n${rows.map((r) => `  "${r.code}",`).join("\n")}\n] as const;

export const errorClasses = {
${rows.map((r) => `  ${r.code}: ${r.code === "ABORTED" ? "WfError" : `errors.${r.name}`},`).join("\n")}
};
`;

let stale = false;
for (const [name, text] of [
  ["errors", classes],
  ["codes", codes],
]) {
  const file = new URL(`src/${name}.gen.ts`, import.meta.url);
  if (!process.argv.includes("--check")) {
    writeFileSync(file, text);
  } else if (readFileSync(file, "utf8") !== text) {
    console.error(
      `web/src/${name}.gen.ts is not what src/base/errors.def gives: run node web/gen-errors.mjs`,
    );
    stale = true;
  }
}
process.exitCode = stale ? 1 : 0;
